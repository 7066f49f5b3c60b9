"""The runtime's version. A literal of its own, because the runtime is installed without the core; a test holds the two equal."""

__version__ = "0.1.0"
