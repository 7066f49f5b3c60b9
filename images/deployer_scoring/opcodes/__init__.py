"""Pickles read operation by operation: what one would import, call and carry, with nothing imported and nothing called.

facts         what is known of a pickle
operations    what each operation does
machine       runs them, with everything replaced by what is known of it
"""
