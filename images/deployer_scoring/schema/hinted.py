"""Values held against the type hint of a predict's input (MLflow's `_convert_data_to_type_hint` and `_validate_data_against_type_hint`)."""

from __future__ import annotations

import base64
import os
from datetime import datetime
from typing import Any, get_args, get_origin

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.hints import NONE, SCALARS, UNIONS, element_of_list, is_pydantic, shown, unknown, without_optional

# Set where models are served: values came as JSON, so that bytes are base64 and datetimes ISO 8601.
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
_MOST_ERRORS = 5


def held_against(data: Any, hint: Any) -> Any:
    """The data as a hint demands it: rows of a DataFrame as a list, dictionaries as pydantic models; nothing else is converted.

    Raises:
        InvalidInput: The data doesn't fit; the message names each element at fault, five at most.
    """
    return _checked(_listed(data, hint), hint)


def _listed(data: Any, hint: Any) -> Any:
    """The rows of a DataFrame as a list, as the elements of the hint are: records, or the values of the first column."""
    if type(data).__name__ != "DataFrame" or not hasattr(data, "to_dict"):
        return data
    if without_optional(hint) is not list:
        raise _misfit(f"a DataFrame fits only a hint that is a list, not {shown(hint)}")
    element = element_of_list(hint)
    if (element is dict or is_pydantic(element)) and list(data.columns) != [0]:
        return _plain(data.to_dict(orient="records"))
    return _plain(data.iloc[:, 0].tolist())


def _plain(value: Any) -> Any:
    """numpy's arrays as lists and NaN as None, at any depth."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124  NaN is unequal to itself


def _checked(data: Any, hint: Any) -> Any:
    if is_pydantic(hint):
        return _as_model(data, hint)
    if hint is Any:
        return data
    if isinstance(hint, type) and hint in SCALARS:
        return _scalar(data, hint)
    origin = get_origin(hint)
    if origin is list:
        return _list(data, get_args(hint)[0])
    if origin is dict:
        return _dictionary(data, get_args(hint)[1])
    if origin in UNIONS:
        others = [each for each in get_args(hint) if each is not NONE]
        is_optional = len(others) == 1 and len(get_args(hint)) == 2
        return _checked(data, others[0]) if is_optional and data is not None else data
    raise unknown(hint)


def _as_model(data: Any, model: Any) -> Any:
    import pydantic

    if not isinstance(data, (dict, pydantic.BaseModel)):
        raise _misfit(f"a dictionary with the fields of {model.__name__} was expected, not {type(data).__name__}")
    try:
        # Strictly first: "1" is no number. Then for good, where the model's own conversions (of enums, of nested models) apply.
        model.model_validate(data if isinstance(data, dict) else data.model_dump(), strict=True)
        return model(**data) if isinstance(data, dict) else data
    except pydantic.ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise _misfit(f"the data doesn't fit {model.__name__}: {found}") from error


def _scalar(data: Any, kind: Any) -> Any:
    if isinstance(data, str) and os.environ.get(_SERVING, "").lower() in {"true", "1"}:
        data = _from_json(data, kind)
    if not isinstance(data, kind):
        raise _misfit(f"{kind.__name__} was expected, not {type(data).__name__}")
    return data


def _from_json(text: str, kind: Any) -> Any:
    try:
        if kind is bytes:
            return base64.decodebytes(text.encode())
        return datetime.fromisoformat(text) if kind is datetime else text
    except ValueError as error:
        raise _misfit(f"{text!r} is no {'base64' if kind is bytes else 'ISO 8601 datetime'}: {error}") from error


def _list(data: Any, element: Any) -> list[Any]:
    if not isinstance(data, list):
        raise _misfit(f"a list was expected, not {type(data).__name__}")
    return [value for _, value in _each(enumerate(data), element)]


def _dictionary(data: Any, element: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _misfit(f"a dictionary was expected, not {type(data).__name__}")
    if not all(isinstance(key, str) for key in data):
        raise _misfit("the keys of a dictionary must be strings")
    return dict(_each(data.items(), element))


def _each(items: Any, element: Any) -> list[tuple[Any, Any]]:
    """All items checked; what is wrong with each is gathered before it is refused."""
    found: list[tuple[Any, Any]] = []
    wrong: list[str] = []
    for key, value in items:
        try:
            found.append((key, _checked(value, element)))
        except InvalidInput as error:
            wrong.append(f"at {key!r}: {error}")
    if wrong:
        raise _misfit("; ".join(wrong[:_MOST_ERRORS]) + ("; and more" if len(wrong) > _MOST_ERRORS else ""))
    return found


def _misfit(message: str) -> InvalidInput:
    return InvalidInput(message, error_code=INVALID_PARAMETER_VALUE)
