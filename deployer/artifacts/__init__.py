"""Model artifacts: from a URI to a directory on this machine, its identity, what is known of it, and its packages.

model = fetch("models:/churn@champion")     PackagedModel(facts, path): resolved, downloaded, validated, digested
for chunk in TarGz(model.path, expecting=model.digest): ...     the same model, the same bytes
for file in files(model.path): ...          one by one, as a prefix
"""

from deployer.artifacts.content import ModelFile, combined, content_digest, digested, files
from deployer.artifacts.example import Example, input_example
from deployer.artifacts.fetching import fetch
from deployer.artifacts.package import Filler, Hashed, Package, Tar, TarGz, gzipped
from deployer.artifacts.uri import candidate_name
from deployer.artifacts.validate import validate

__all__ = [
    "Example",
    "Filler",
    "Hashed",
    "ModelFile",
    "Package",
    "Tar",
    "TarGz",
    "candidate_name",
    "combined",
    "content_digest",
    "digested",
    "fetch",
    "files",
    "gzipped",
    "input_example",
    "validate",
]
