"""Looking at a model before it goes anywhere: what it needs and what would break, without running any of it.

finding         what is found: severity, file, what, what to do
containers      where a model's pickles lie: files, zips, compressed ones (deployer_scoring.opcodes follows them without doing anything)
harmless        which names of a pickle are dangerous, which are known to be harmless
sources         its Python files, parsed
examples        its input example against its signature
knowledge       which versions load what, which distribution brings which module
surroundings    the environment that it is held against
mlflow_needed   whether it can be served without mlflow
files, dangers, versions, imports, binaries, needs, check        the findings
"""

from deployer.checks.check import Checked, check_model
from deployer.checks.finding import Finding, Severity
from deployer.checks.mlflow_needed import with_mlflow_said
from deployer.checks.preflight import look_before_upload
from deployer.checks.surroundings import Surroundings, of_image, of_lock, of_requirements

__all__ = [
    "Checked",
    "Finding",
    "Severity",
    "Surroundings",
    "check_model",
    "look_before_upload",
    "of_image",
    "of_lock",
    "of_requirements",
    "with_mlflow_said",
]
