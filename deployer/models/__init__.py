"""Models: from a URI to a directory on this machine, its identity, what is known of it, and its packages.

model = fetch("models:/churn@champion")     Model(facts, path): resolved, downloaded, validated, digested
for chunk in TarGz(model.path, expecting=model.digest): ...     the same model, the same bytes
for file in files(model.path): ...          one by one, as a prefix
"""

from deployer.models.content import ModelFile, content_digest, files
from deployer.models.example import Example, input_example
from deployer.models.fetching import fetch
from deployer.models.package import Hashed, Package, Tar, TarGz, gzipped, readable
from deployer.models.uri import candidate_name
from deployer.models.validate import validate

__all__ = [
    "Example",
    "Hashed",
    "ModelFile",
    "Package",
    "Tar",
    "TarGz",
    "candidate_name",
    "content_digest",
    "fetch",
    "files",
    "gzipped",
    "input_example",
    "readable",
    "validate",
]
