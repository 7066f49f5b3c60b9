"""The version of this tool, written once: packaging, tags, records and image labels read it here."""

__version__ = "0.1.0"
