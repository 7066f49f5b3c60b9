"""A class's name means one thing in the whole repository: whoever reads it in one room need not ask which of two it is.

A name that is there more than once must be in the list, with the reason why no reader is misled.
"""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.unit.test_imports import PACKAGES, modules

SAME = "the same thing in each target, in the file of the same name"
ROOM = "the same thing in each local cloud, in the file of the same name"
CLOUD = "the cloud's own word for what it has, which its stand-in on this machine serves"
PUBLIC = "MLflow's name, which its users import"

ALLOWED = {
    "Absent": SAME,
    "ApiError": SAME,
    "ChangeLive": SAME,
    "DeleteEndpoint": SAME,
    "Overtaken": SAME,
    "Remove": SAME,
    "UploadModel": SAME,
    "Sweep": SAME,
    "View": SAME,
    "WriteRecord": SAME,
    "Gateway": ROOM,
    "Aws": CLOUD,
    "Endpoint": CLOUD,
    "SageMaker": CLOUD,
    "Models": CLOUD,
    "Model": PUBLIC,
}


def test_a_class_name_means_one_thing() -> None:
    where = defaultdict(list)
    for module, file in modules(PACKAGES).items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(module)
    twice = {name: found for name, found in where.items() if len(found) > 1}
    assert not {name: found for name, found in twice.items() if name not in ALLOWED}, "one of each needs a name of its own"
    assert ALLOWED.keys() <= twice.keys(), "these are there but once: out of the list with them"
