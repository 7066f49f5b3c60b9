"""A class's name means one thing in the whole repository: whoever reads it in one room need not ask which of two it is.

A name that is there more than once must be in the list, with the reason why no reader is misled.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from itertools import combinations

from tests.unit.test_imports import PACKAGES, graph, modules

SAME = "the same thing in each target, in the file of the same name"
ENDS = "the two ends of one conversation"
CLOUD = "the cloud's own word for what it has, which its stand-in on this machine serves"
PUBLIC = "MLflow's name, which its users import"
ROOM = "each is a word of its own trade, and no file imports both or, where one is, imports the other"

ALLOWED = {
    "Absent": SAME,
    "Sweep": SAME,
    "View": SAME,
    "WriteRecord": SAME,
    "Aws": CLOUD,
    "Endpoint": CLOUD,
    "SageMaker": CLOUD,
    "Models": CLOUD,
    "Handover": ENDS,
    "Model": PUBLIC,
    "Connection": ROOM,
    "Deployment": ROOM,
    "Request": ROOM,
    "Resource": ROOM,
    "Settings": ROOM,
    "Store": ROOM,
    "Image": ROOM,
    "Repository": ROOM,
    "Faults": ROOM,
    "Backend": ROOM,
    "Options": ROOM,
    "Status": ROOM,
    "Config": ROOM,
    "Field": ROOM,
    "Rule": ROOM,
    "Source": ROOM,
    "Entry": ROOM,
    "Destination": ROOM,
    "Command": ROOM,
    "Control": ROOM,
    "Held": ROOM,
    "Lines": ROOM,
    "Row": ROOM,
    "Running": ROOM,
    "Shelf": ROOM,
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

    edges = graph(PACKAGES)
    seen = {name: {*others, name} for name, others in edges.items()}
    apart = [name for name, reason in ALLOWED.items() if reason is ROOM]
    met = [(name, file) for name in apart for file in seen for one, other in combinations(twice[name], 2) if {one, other} <= seen[file]]
    assert not met, "both are met in one file: one of them needs another name"
