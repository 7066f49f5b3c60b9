"""The runtime's version. A literal of its own, because the runtime is installed without the core; a test holds the two equal."""

__version__ = "0.1.0"

OLDEST_PYTHON = "3.8"
"""What the runtime still runs on: registries are full of models that were saved by it."""
