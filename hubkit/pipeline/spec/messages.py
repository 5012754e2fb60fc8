"""What is wrong with a value of release.yaml, in hubkit's words and none of pydantic's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...sdk.excerpt import did_you_mean, shown

WANTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "finite_number": "a number, neither infinite nor NaN",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_type": "a whole number",
    "invalid_key": "a key that is a text",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "model_type": "a mapping of keys to values",
    "path_type": "a path",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_type": "a text",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""By pydantic's type of error: what the value should have been."""
WHOLE = ("not_measured", "not_an_environment", "not_driven")
"""Errors of the model's own validators that say all there is to say."""
_UNQUOTED = (bool, int, float)


def problem(error: Mapping[str, Any]) -> str:
    """`error` as pydantic's `errors()` gives it, except `missing` and `extra_forbidden`, which are
    about keys: `a whole number, not 'x'`."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in WHOLE:
        return str(error["msg"])
    if kind == "value_error":
        wanted = str(context["error"])
    elif kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return f"one of {', '.join(names)}, not {shown(value)}{did_you_mean(value, names)}"
    else:
        wanted = WANTED.get(kind, "a value of another kind").format(**_plain(context))
    quotes = kind in ("string_type", "invalid_key") and isinstance(value, _UNQUOTED)
    return f"{wanted}, not {shown(value)}{' (put it in quotes)' if quotes else ''}"


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """Limits as people write them: 1, not 1.0."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }
