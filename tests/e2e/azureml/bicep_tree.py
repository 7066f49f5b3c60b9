"""Reads Bicep from stdin by its grammar, and prints its resources and parameters as JSON; an expression is {"=": its text}.

Run by an interpreter that has tree-sitter and tree-sitter-bicep.
"""

import json
import re
import sys

import tree_sitter
import tree_sitter_bicep

ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\'": "'", "\\\\": "\\", "\\$": "$"}


def text(node):
    return node.text.decode()


def value(node):
    match node.type:
        case "object":
            pairs = [each.named_children for each in node.named_children]
            return {value(key) if key.type == "string" else text(key): value(inner) for key, inner in pairs}
        case "array":
            return [value(each) for each in node.named_children]
        case "string":
            return re.sub(r"\\.", lambda found: ESCAPES[found[0]], text(node)[1:-1])
        case "number" | "boolean" | "null":
            return json.loads(text(node))
        case _:
            return {"=": text(node)}


root = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language())).parse(sys.stdin.buffer.read()).root_node
if root.has_error:
    sys.exit(f"not Bicep: {root}")
resources, parameters = {}, {}
for each in root.named_children:
    if each.type == "resource_declaration":
        symbol, kind, body = each.named_children
        resources[text(symbol)] = {"kind": value(kind), "existing": any(part.type == "existing" for part in each.children), "body": value(body)}
    elif each.type == "parameter_declaration":
        parameters[text(each.named_children[0])] = text(each.named_children[1])
print(json.dumps({"resources": resources, "parameters": parameters}))
