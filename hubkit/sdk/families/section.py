"""Reading config.json: a missing or mistyped key is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import UsageError
from ..excerpt import shown
from .sizes import CEILINGS, OTHERS, size_problem

T = TypeVar("T", int, float, str, bool)


class Section:
    """One section of config.json (`text_config`), or all of it. `defaults` stand for absent keys,
    as transformers' own configuration class fills them in: published files leave out what equals
    them."""

    def __init__(
        self, config: Mapping[str, Any], name: str = "", defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.prefix = f"{name}." if name else ""
        values = config.get(name) if name else config
        if not isinstance(values, Mapping):
            raise UsageError(
                f"config.json: {name} is missing or not a mapping",
                "give the config.json of a complete model folder",
            )
        self.values: Mapping[str, Any] = {
            **(defaults or {}),
            **{k: v for k, v in values.items() if v is not None},
        }

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of `key`; `default` when it is absent or null.

        Raises:
            UsageError: it is absent without a default, or not a `kind`.
        """
        value = self.values.get(key)
        if value is None:
            if default is None:
                raise self.wrong(key, "is missing")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return kind(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"must be {kind.__name__}, not {shown(value)}")
        if problem := size_problem(key, value):
            raise self.wrong(key, problem)
        return value

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 1, and no larger than a model can have (CEILINGS)."""
        value = self.get(key, int, default)
        if value < 1:
            raise self.wrong(key, f"must be at least 1, not {value}")
        if key not in CEILINGS and value > OTHERS:
            raise self.wrong(key, f"is {shown(value)}; at most {OTHERS:,} is possible")
        return value

    def wrong(self, key: str, message: str) -> UsageError:
        return UsageError(
            f"config.json: {self.prefix}{key} {message}",
            "correct it, or take the model's own config.json",
        )
