"""Files read in chunks, predictions written chunk by chunk; a bad row has a line; a run that fails leaves nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, List

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.batch.chunks import Chunk, first_bad
from deployer_scoring.batch.command import format_of, main
from deployer_scoring.batch.predicting import Batch, run
from deployer_scoring.batch.reading import chunks
from deployer_scoring.batch.writing import replacing, writer
from deployer_scoring.errors import EncodingError, InvalidInput
from deployer_scoring.format.saving import save_model
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.wire.table import Table

LOADER = """
import pandas as pd

class Model:
    def predict(self, frame):
        print("predicting", len(frame))
        if (frame["x"] < 0).any():
            raise ValueError("x is negative")
        return [2 * value for value in frame["x"].tolist()]

def _load_pyfunc(path):
    return Model()
"""


def model_in(directory: Path, columns: list[tuple[str, str]] | None = None) -> MLModel:
    """A model that doubles x, with a signature of these columns."""
    (directory / "code").mkdir(parents=True)
    (directory / "code" / "batch_test_loader.py").write_text(LOADER)
    document: dict[str, Any] = {"flavors": {"python_function": {"loader_module": "batch_test_loader", "code": "code"}}}
    if columns is not None:
        document["signature"] = {"inputs": json.dumps([{"name": name, "type": kind} for name, kind in columns])}
    (directory / "MLmodel").write_text(json.dumps(document))
    return parse_mlmodel(directory)


@pytest.fixture
def typed(tmp_path: Path) -> MLModel:
    return model_in(tmp_path / "typed", [("x", "double"), ("name", "string")])


@pytest.fixture
def untyped(tmp_path: Path) -> MLModel:
    return model_in(tmp_path / "untyped")


def read(model: MLModel, text: str, form: str = "csv", rows: int | None = 2) -> list[Chunk]:
    return list(chunks(io.BytesIO(text.encode()), form, model, rows))


def test_csv_comes_in_chunks_with_the_types_of_the_signature(typed: MLModel) -> None:
    found = read(typed, "x,name\n1,007\n2,b\n3,c\n")
    assert [(each.first, each.rows) for each in found] == [(0, 2), (2, 1)]
    assert found[0].data["name"].tolist() == ["007", "b"]
    assert [str(each.data["x"].dtype) for each in found] == ["float64", "float64"]
    assert len(read(typed, "x,name\n1,a\n2,b\n3,c\n", rows=None)) == 1


def test_without_a_signature_all_chunks_have_the_types_of_the_whole_file(untyped: MLModel) -> None:
    text = "a,b,c\n1,1,1\n2,2,2\n3.5,x,3\n"
    whole = pd.read_csv(io.StringIO(text))
    found = [each.data for each in read(untyped, text, rows=1)]
    assert [str(each["a"].dtype) for each in found] == ["float64"] * 3
    assert [str(each["c"].dtype) for each in found] == ["int64"] * 3
    assert pd.concat(found)["b"].tolist() == whole["b"].tolist() == ["1", "2", "x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,name\n1,a\n2,b\nabc,c\n4,d\n", "^line 4: in the column 'x', 'abc' is no number$"),
        ('x,name\n1,"two\nlines"\n\nabc,c\n', "^line 5: in the column 'x', 'abc' is no number$"),
        ('x,name\n1,5" wide\n2,"a ""b"" c"\nabc,c\n', "^line 4: in the column 'x', 'abc' is no number$"),
        ("x,name\r1,a\rabc,c\r", "^line 3: in the column 'x', 'abc' is no number$"),
        ("\n\nx,name\r\n1,a\r\nabc,c", "^line 5: in the column 'x', 'abc' is no number$"),
        ("x,name\n1,a\n2,b\n3,c,d,e\n5,f\n", "^line 4: there are 4 fields, the header has 2$"),
        ("x,name\n1,a\n2,b\n3,4,\n5,f\n", r"^line 4: there are 3 fields \(it ends with a comma\), the header has 2$"),
        ("x,name\n1,a,\n2,b,\n", "^line 2: there are 3 fields"),
        ('x,name\n1,"a\n\nb"\n2\n3,c\n', "^line 5: there is 1 field, the header has 2$"),
        ('x,name\n1,a\n2,"b\n3,c\n', "^line 3: a quote opens a field, and none closes it$"),
        ("x,x\n1,a\n", "^line 1: the column 'x' is there more than once$"),
        ("\n,x\n0,1\n", "^line 2: the column 1 has no name"),
        ("", "^there is nothing in it; CSV with a header row was expected$"),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 3, None])
def test_a_bad_row_of_csv_has_its_line(typed: MLModel, text: str, said: str, rows: int | None) -> None:
    with pytest.raises(InvalidInput, match=said):
        read(typed, text, rows=rows)


def test_integers_with_gaps_have_a_line_too(tmp_path: Path) -> None:
    model = model_in(tmp_path / "whole", [("n", "long"), ("x", "double")])
    with pytest.raises(InvalidInput, match=r"line 5: in the column 'n', a value is missing"):
        read(model, "n,x\n1,1\n2,2\n3,3\n,4\n5,5\n", rows=10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3,4\n5,6,7\n", "^line 4: there are 3 fields, the header has 2$"),
        ("a,b\n1,2\n\n3\n", "^line 4: there is 1 field, the header has 2$"),
        ("a,a\n1,2\n", "^line 1: the column 'a' is there more than once$"),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, None])
def test_rows_have_the_header_s_width_without_a_signature_too(untyped: MLModel, text: str, said: str, rows: int | None) -> None:
    with pytest.raises(InvalidInput, match=said):
        read(untyped, text, rows=rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("rows", [1, 2, 3, None])
def test_every_end_of_a_line_gives_the_same_rows(typed: MLModel, end: str, rows: int | None) -> None:
    lines = ["\ufeffx,name", "1,a", '2,"b,', 'c"', "", '3,5"', "4,d"]
    found = read(typed, end.join(lines) + end, rows=rows)
    frames = [each.data.frame() if isinstance(each.data, Table) else each.data for each in found]
    assert [row for frame in frames for row in frame["x"]] == [1.0, 2.0, 3.0, 4.0]
    assert [row for frame in frames for row in frame["name"]] == ["a", f"b,{end}c", '5"', "d"]
    assert [each.place(row) for each in found for row in range(each.rows)] == ["line 2", "line 3", "line 6", "line 7"]  # type: ignore[misc]


def test_a_large_cell_is_a_cell(typed: MLModel) -> None:
    (found,) = read(typed, f'x,name\n1,"{"a" * 200_000}"\n', rows=10)
    assert len(found.data["name"][0]) == 200_000


def test_bytes_that_are_no_text_are_refused_with_their_line(typed: MLModel) -> None:
    with pytest.raises(InvalidInput, match=r"^line 3: the text is not UTF-8"):
        list(chunks(io.BytesIO(b"x,name\n1,a\n1,\xff\n"), "csv", typed, 1))


def test_a_row_that_a_type_hint_refuses_has_its_line(tmp_path: Path) -> None:
    def doubled(model_input: Any) -> Any:
        return [2 * each for each in model_input]

    doubled.__annotations__ = {"model_input": List[int]}
    save_model(tmp_path / "m", python_model=doubled, pip_requirements=[])
    source = tmp_path / "in.jsonl"
    source.write_text('1\n\n2\n"x"\n"y"\n')
    with pytest.raises(InvalidInput, match=r"^line 4: an integer was expected, not a string$"):
        run(Batch(tmp_path / "m", source, tmp_path / "out.jsonl", "jsonl", "jsonl", rows=10), lambda **_: None)


def test_json_lines_are_rows(typed: MLModel) -> None:
    found = read(typed, '{"x": 1, "name": "a"}\n\n{"name": "b", "x": 2}\n{"x": 3.5, "name": "c"}', "jsonl")
    assert [each.rows for each in found] == [2, 1]
    assert found[0].place is not None and [found[0].place(row) for row in (0, 1)] == ["line 1", "line 3"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [("{", "line 3: the body is not valid JSON"), ('{"x": "z", "name": "c"}', "line 3: in the column 'x', 'z' is no number"), ("[1]", "line 3: ")],
)
def test_a_bad_line_of_json_is_named(typed: MLModel, bad: str, said: str) -> None:
    good = '{"x": 1, "name": "a"}'
    with pytest.raises(InvalidInput, match=said):
        read(typed, "\n".join([good, good, bad, good]), "jsonl", rows=10)


def test_json_is_one_request_with_its_params(typed: MLModel) -> None:
    (found,) = read(typed, '{"dataframe_split": {"columns": ["x", "name"], "data": [[1, "a"]]}, "params": {"top": 3}}', "json")
    assert found.params == {"top": 3}


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_the_first_bad_row_is_found_by_halving(count: int) -> None:
    for bad in range(count):
        assert first_bad(count, lambda begin, end, bad=bad: begin <= bad < end) == bad  # type: ignore[misc]
    assert first_bad(count, lambda begin, end: False) is None
    if count > 2:
        assert first_bad(count, lambda begin, end: True) is None


PREDICTIONS: list[tuple[list[Any], Any]] = [
    ([np.array([1.5, float("nan")]), np.array([3.0])], [1.5, float("nan"), 3.0]),
    ([np.array([1, 2]), np.array([3])], [1, 2, 3]),
    ([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])], [[1.0, 2.0], [3.0, 4.0]]),
    ([["a,b", None], ['"']], ["a,b", None, '"']),
    (
        [pd.DataFrame({"p": [0.5], "label": ["x,y"]}), pd.DataFrame({"p": [0.25], "label": ["z"]})],
        [{"p": 0.5, "label": "x,y"}, {"p": 0.25, "label": "z"}],
    ),
    ([pd.Series([1.0, 2.0], name="p")], [{"p": 1.0}, {"p": 2.0}]),
    ([[], [1]], [1]),
]


def written(pieces: list[Any], form: str) -> bytes:
    file = io.BytesIO()
    sink = writer(file, form)
    for piece in pieces:
        sink.write(piece)
    sink.finish()
    return file.getvalue()


@pytest.mark.parametrize(("pieces", "values"), PREDICTIONS, ids=lambda each: type(each[0]).__name__)
def test_json_and_json_lines_hold_the_same_values(pieces: list[Any], values: Any) -> None:
    lines = [json.loads(line) for line in written(pieces, "jsonl").splitlines()]
    assert repr(lines) == repr(values)
    assert repr(json.loads(written(pieces, "json"))) == repr({"predictions": values})


def test_csv_has_a_column_for_each_of_the_answers() -> None:
    assert written([np.array([1.5]), np.array([2.5])], "csv") == b"predictions\n1.5\n2.5\n"
    assert written([pd.DataFrame({"a": [1], "b": ["x,y"]}), pd.DataFrame({"a": [2], "b": ["z"]})], "csv") == b'a,b\n1,"x,y"\n2,z\n'
    assert written([np.array([[0.25, 0.75]])], "csv") == b"0,1\n0.25,0.75\n"
    assert written([[{"a": [1, 2]}]], "csv") == b'a\n"[1, 2]"\n' or b'"[1,2]"' in written([[{"a": [1, 2]}]], "csv")
    assert written([], "csv") == b"predictions\n"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_answers_of_different_forms_are_refused(form: str) -> None:
    with pytest.raises(EncodingError, match="not all the same form"):
        written([pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})] if form == "csv" else [{"answer": 1}, {"answer": 2}], form)


def test_an_answer_without_rows_is_one_value() -> None:
    assert json.loads(written([{"answer": [1]}], "json")) == {"predictions": {"answer": [1]}}
    assert json.loads(written([{"answer": 1}], "jsonl")) == {"answer": 1}
    with pytest.raises(EncodingError, match="write JSON lines"):
        written([{"answer": 1}], "csv")


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(place) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
    assert place.read_text() == "before"
    with replacing(place) as file:
        file.write(b"whole")
        file.flush()
        assert place.read_text() == "before"
    assert place.read_text() == "whole"
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("a.JSON", "json"), ("a.ndjson", "jsonl"), ("a.pq", "parquet"), ("a.txt", "jsonl"), (None, "jsonl")]
)
def test_endings_name_formats(name: str | None, form: str) -> None:
    assert format_of(Path(name) if name else None) == form


def test_a_whole_run(typed: MLModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("x,name\n1,a\n2.5,b\n3,c\n")
    asked = ["--model", str(typed.directory), "--input", str(source), "--chunk-rows", "2"]
    assert main([*asked, "--output", str(target)]) == 0
    assert target.read_text() == "2.0\n5.0\n6.0\n"
    assert main([*asked, "--output-format", "csv"]) == 0
    out, err = capfd.readouterr()
    assert out == "predictions\n2.0\n5.0\n6.0\n"  # what the model prints is not among the predictions
    assert err.count("predicting 2") == 2


def test_a_model_that_fails_says_in_which_rows_and_leaves_nothing(typed: MLModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("x,name\n1,a\n2,b\n3,c\n-1,d\n5,e\n")
    assert main(["--model", str(typed.directory), "--input", str(source), "--output", str(target), "--chunk-rows", "2"]) == 1
    assert "ValueError: x is negative (in line 4 to line 5 of the input)" in capfd.readouterr().err
    assert not list(tmp_path.glob("*out*"))


def test_wrong_use_is_two_and_a_missing_file_ten(typed: MLModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(typed.directory), "--input", str(tmp_path / "absent.csv")]) == 10
    source = tmp_path / "in.csv"
    source.write_text("y\n1\n")
    assert main(["--model", str(typed.directory), "--input", str(source)]) == 2
    said = capfd.readouterr().err
    assert "lacks 'x', 'name'" in said and "line" not in said.splitlines()[-1]
