"""Which URIs can be fetched, known without what fetches them."""

from __future__ import annotations

SCHEMES = ("s3", "s3a", "s3n", "gs", "gcs", "wasb", "wasbs", "abfs", "abfss", "http", "https")
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
"""What the name of a model's archive ends in."""


def is_archive(uri: str) -> bool:
    """Whether a URI names an archive of a model, by its ending, and not the model's directory."""
    return uri.lower().endswith(ARCHIVES)
