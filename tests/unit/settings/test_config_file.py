"""churn.yaml: what it may hold, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid, MachineFault
from deployer.settings.config_file import ConfigFile, schema
from docs.examples.memory_target import Options

WHOLE = """\
# yaml-language-server: $schema=deployer.schema.json
model: models:/churn@champion
targets:
  memory:/here:
    instance_type: large
    instance_count: 2
    resources: {memory: 2Gi}
  memory:
    instance_type: small
    tags:
      team: growth
"""


def read(tmp_path: Path, text: str) -> ConfigFile:
    path = tmp_path / "churn.yaml"
    path.write_text(text)
    return ConfigFile.read(path)


def test_options_come_with_the_line_that_they_stand_in(tmp_path: Path) -> None:
    file = read(tmp_path, WHOLE)
    values, origins = file.options(TargetUri("memory", "here"))
    assert values == {"instance_type": "large", "instance_count": 2, "resources": {"memory": "2Gi"}, "tags": {"team": "growth"}}
    assert origins == {
        "instance_type": f"{tmp_path}/churn.yaml:5",
        "instance_count": f"{tmp_path}/churn.yaml:6",
        "resources": f"{tmp_path}/churn.yaml:7",
        "tags": f"{tmp_path}/churn.yaml:10",
    }


def test_a_schemes_options_hold_for_all_of_its_targets(tmp_path: Path) -> None:
    file = read(tmp_path, WHOLE)
    assert file.options(TargetUri("memory", "elsewhere"))[0] == {"instance_type": "small", "tags": {"team": "growth"}}
    assert file.uris() == ("memory:/here",)
    assert read(tmp_path, "targets: {local: }").uris() == ("local",)


@pytest.mark.parametrize("written", ["memory:/here", "memory:here", "deployer-memory:/here"])
def test_a_target_may_be_written_in_each_of_its_forms(tmp_path: Path, written: str) -> None:
    assert read(tmp_path, f"targets: {{'{written}': {{instance_count: 3}}}}").options(TargetUri.parse("memory:/here"))[0] == {"instance_count": 3}


def test_a_relative_model_is_one_beside_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "model: ./models/churn").model_uri == f"{tmp_path}/models/churn"
    assert read(tmp_path, "model: /srv/churn").model_uri == "/srv/churn"
    assert read(tmp_path, "model: models:/churn/3").model_uri == "models:/churn/3"
    assert read(tmp_path, "").model_uri is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: x\nmodle: y\n", "modle is not a key of this file; did you mean model? ({path}:2)"),
        ("model: x\ntargets:\n  - memory\n", "{path}:3: targets is not a mapping"),
        ("targets:\n  memory: large\n", "{path}:2: memory is not a mapping"),
        ("targets:\n  memory:\n    a: 1\n    a: 2\n", "{path}:4: a stands twice in memory"),
        ("model: {a: b}\n", "{path}:1: model is not text"),
        ("model: x\ntargets: [\n", "{path}:3: not YAML"),
        ("model: x\n--- \nmodel: y\n", "{path} has 2 deployments where one is meant"),
        ("model: x\n---\nmodle: y\n", "did you mean model? ({path}:3)"),
        ("model: x\n---\nmodel: [\n", "{path}:4: not YAML"),
        ("- model: x\n- b\n", "{path}:2: what the list has is not a mapping"),
        ("targets:\n  memory:\n    a: !!python/object/apply:os.getcwd []\n", "{path}:3: not YAML"),
        ("a\n", "{path}:1: the file is not a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, text)
    assert said.format(path=tmp_path / "churn.yaml") in caught.value.message


def test_anchors_and_merge_keys_work_and_keep_their_lines(tmp_path: Path) -> None:
    text = "targets:\n  memory:/a: &shared\n    instance_type: large\n    instance_count: 1\n  memory:/b:\n    <<: *shared\n    instance_count: 2\n"
    values, origins = read(tmp_path, text).options(TargetUri("memory", "b"))
    assert values == {"instance_type": "large", "instance_count": 2}
    assert [origins[name].rpartition(":")[2] for name in ("instance_type", "instance_count")] == ["3", "7"]


def test_a_target_that_the_file_lacks_is_refused_where_it_was_asked_for(tmp_path: Path) -> None:
    file = read(tmp_path, "targets: {'memory:/here': {}}")
    with pytest.raises(ConfigInvalid, match="has no options for memory:/there"):
        file.options(TargetUri("memory", "there"))
    assert file.options(TargetUri("memory", "there"), required=False) == ({}, {})
    assert read(tmp_path, "model: x").options(TargetUri("memory", "there")) == ({}, {})


@pytest.mark.parametrize(
    "text",
    [
        "---\nmodel: a\ntargets: {memory: {instance_count: 1}}\n---\n# nothing\n---\nname: b\nmodel: a\ntargets: {memory: {instance_count: 2}}\n",
        "- model: a\n  targets: {memory: {instance_count: 1}}\n- name: b\n  model: a\n  targets:\n    memory: {instance_count: 2}\n",
        '[{"model": "a", "targets": {"memory": {"instance_count": 1}}},\n{"name": "b", "model": "a", "targets": {"memory": {"instance_count": 2}}}]',
    ],
    ids=["documents", "a list", "JSON"],
)
def test_a_file_may_have_several_deployments(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    found = ConfigFile.read_all([path])
    assert [each.called for each in found] == ["a", "b"]
    options = [each.options(TargetUri("memory")) for each in found]
    assert [values for values, _ in options] == [{"instance_count": 1}, {"instance_count": 2}]
    for each, (_, origins) in zip(found, options, strict=True):
        line = int(each.place.rpartition(":")[2])
        assert line <= int(origins["instance_count"].rpartition(":")[2]) <= line + 3


def test_what_a_list_shares_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("- &all\n  model: a\n  targets: {memory: {instance_count: 3}}\n- <<: *all\n  name: b\n")
    assert [(each.called, each.options(TargetUri("memory"))[0]) for each in ConfigFile.read_all([path])] == [
        ("a", {"instance_count": 3}),
        ("b", {"instance_count": 3}),
    ]


def test_a_directory_is_the_files_right_in_it(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", ".hidden.yaml", "README.md", "deeper/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{model: x}")
    assert [each.place for each in ConfigFile.read_all([tmp_path])] == [f"{tmp_path}/{name}" for name in ("a.yaml", "b.yml", "c.json")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigInvalid, match="empty has no file of a deployment in it"):
        ConfigFile.read_all([tmp_path / "empty"])


def test_a_file_that_is_not_there_is_the_machines_fault(tmp_path: Path) -> None:
    with pytest.raises(MachineFault, match="No such file"):
        ConfigFile.read(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (WHOLE, True),
        ("targets: {memory: {instance_typ: large}}", False),
        ("targets: {memory: {instance_count: 0}}", False),
        ("targets: {memory: {resources: {memoryy: 2Gi}}}", False),
        ("targets: {memery: {}}", False),
        ("modle: x", False),
        ("- model: x\n- {model: y, targets: {memory: {instance_count: 1}}}", True),
        ("- model: x\n- modle: y", False),
        ("targets: {'deployer-memory:/a': }", True),
    ],
)
def test_the_schema_takes_what_we_take(text: str, valid: bool) -> None:
    document: dict[str, Any] = schema({"memory": Options})
    jsonschema.Draft202012Validator.check_schema(document)
    assert jsonschema.Draft202012Validator(document).is_valid(yaml.safe_load(text)) is valid


def test_the_schema_explains_each_option_to_editors() -> None:
    options = schema({"memory": Options})["$defs"]["memory"]["properties"]
    assert options["instance_type"]["description"] == "What it runs on."
    assert all("description" in option for option in options.values())
