"""A model's directory: its MLmodel file, where it lies, what it requires, its input example."""
