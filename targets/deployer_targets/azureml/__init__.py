"""Azure Machine Learning: managed online endpoints."""
