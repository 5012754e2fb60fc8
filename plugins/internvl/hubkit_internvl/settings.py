"""Reading config.json: a missing or mistyped key is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from hubkit.sdk import UsageError
from hubkit.sdk.excerpt import shown
from hubkit.sdk.families.defaults import DECODERS, VISION
from hubkit.sdk.families.sizes import size_problem

T = TypeVar("T", int, float, str, bool)


class Settings:
    """One section of config.json, e.g. `llm_config`, completed by its class's defaults."""

    def __init__(self, config: Mapping[str, Any], section: str = "") -> None:
        self.prefix = f"{section}." if section else ""
        values = config.get(section) if section else config
        if not isinstance(values, Mapping):
            raise _wrong(section, "is missing or not a mapping")
        usual = _defaults(section, values)
        self.values: Mapping[str, Any] = {
            **values,
            **{key: value for key, value in usual.items() if values.get(key) is None},
        }

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of `key`, `default` when it is absent or null.

        Raises:
            UsageError: it is absent without a default, or not a `kind`.
        """
        value = self.values.get(key)
        if value is None:
            if default is None:
                raise _wrong(self.prefix + key, "is missing")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return kind(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _wrong(self.prefix + key, f"must be {kind.__name__}, not {shown(value)}")
        if problem := size_problem(key, value):
            raise _wrong(self.prefix + key, problem)
        return value

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        value = self.get(key, int, default)
        if value < 1:
            raise _wrong(self.prefix + key, f"must be at least 1, not {value}")
        return value

    def square(self, key: str) -> int:
        """The side of a square in pixels, written as a number or as two equal ones."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(
                key, f"must be a number of pixels or two equal ones, not {shown(value)}"
            )
        if problem := size_problem(key, value):
            raise self.wrong(key, problem)
        return value

    def wrong(self, key: str, message: str) -> UsageError:
        return _wrong(self.prefix + key, message)


def _defaults(section: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    if section == "vision_config":
        return VISION["intern_vit_6b"]
    architectures = values.get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    kind = name.removesuffix("ForCausalLM").lower()
    renamed = {"qwen3moe": "qwen3_moe", "gptoss": "gpt_oss"}
    return DECODERS.get(renamed.get(kind, kind), {}) if section == "llm_config" else {}


def _wrong(key: str, message: str) -> UsageError:
    return UsageError(
        f"config.json: {key} {message}",
        "use the config.json of an InternVL model in its official layout",
    )
