"""Models of many flavors, saved by the real MLflow, and what each side answers with them.

`data.py`, `saving.py` and `answering.py` are run by interpreters that have the flavors' libraries, not by the tests' own.
"""
