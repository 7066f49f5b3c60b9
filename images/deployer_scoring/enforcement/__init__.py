"""Data held against a model's signature, by MLflow's rules."""
