"""The columns that a UDF is called with, as the frame that a model takes (MLflow's rules)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.signature import Schema

if TYPE_CHECKING:
    import pandas as pd

    from deployer_scoring.spark.batches import Argument


def as_frame(arguments: Sequence[Argument], inputs: Optional[Schema]) -> pd.DataFrame:
    """The frame that a UDF's arguments are to the model.

    One struct is the frame itself. Other arguments are its columns: named in the signature's order, or 0, 1, ... without one; a struct
    among them is a column of dictionaries. More than the signature names are ignored, optional ones may be left out at the end.

    Raises:
        InvalidInput: Fewer arguments than the signature requires.
    """
    import pandas as pd

    if len(arguments) == 1 and isinstance(arguments[0], pd.DataFrame):
        return arguments[0]
    if inputs is None:
        names: list[Any] = [str(position) for position in range(len(arguments))]
    else:
        missing_columns(len(arguments), inputs)
        names = inputs.input_names()
    data = {name: _records(each) if isinstance(each, pd.DataFrame) else each for name, each in zip(names, arguments)}
    return pd.DataFrame(data, columns=names)


def missing_columns(given: int, inputs: Schema) -> None:
    """Refuse fewer columns than a signature requires.

    Raises:
        InvalidInput: Names what is missing.
    """
    required = [*map(str, inputs.required_input_names())]
    if given >= len(required):
        return
    names = [*map(str, inputs.input_names())]
    missing = [name for name in names[given:] if name in required]
    raise InvalidInput(
        f"the model requires {len(required)} columns, and the UDF was called with {given}: {', '.join(missing)} "
        f"{'is' if len(missing) == 1 else 'are'} missing. Columns are taken in the signature's order: {', '.join(names)}"
    )


def _records(struct: pd.DataFrame) -> pd.Series[Any]:
    # Row by row as MLflow does it: numbers of different types in one struct become floats on the way.
    records: pd.Series[Any] = struct.apply(lambda row: row.to_dict(), axis=1)
    return records
