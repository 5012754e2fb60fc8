"""Frozen dataclasses to JSON and back, checked against their annotations; the wire format between
host and worker."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from .errors import UsageError
from .excerpt import did_you_mean, shown

T = TypeVar("T")
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_SWITCHES = {"on": True, "yes": True, "off": False, "no": False}
"""Words that mean a switch where one is asked for, as in YAML 1.1; elsewhere they are words."""


def encode(value: Any) -> Any:
    """Plain JSON values for a dataclass, mapping, sequence, path or scalar; anything else is a
    TypeError."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__} cannot travel between hubkit and a worker")


def switch(value: Any) -> Any:
    """True or False for `on`, `yes`, `off` and `no`; any other value as it is."""
    return _SWITCHES.get(value.lower(), value) if isinstance(value, str) else value


def decode(kind: type[T], data: Any, where: str) -> T:
    """`data` as `kind`. Unknown, missing and mistyped fields are reported together.

    Raises:
        UsageError: names every field that is off.
    """
    problems: list[str] = []
    value = _decode(kind, data, "", problems)
    if problems:
        raise UsageError(f"{where}: " + "; ".join(problems), "correct the named fields")
    return cast(T, value)


def _decode(kind: Any, data: Any, at: str, problems: list[str]) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any:
        return data
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(cast(type, kind), data, at, problems)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(kind, data, at, problems)
    if origin is typing.Literal:
        if data not in typing.get_args(kind):
            problems.append(
                f"{at or 'value'} must be one of {', '.join(map(repr, typing.get_args(kind)))}, "
                f"not {shown(data)}{did_you_mean(data, map(str, typing.get_args(kind)))}"
            )
        return data
    if origin is tuple:
        return _decode_tuple(kind, data, at, problems)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(data, Mapping):
            problems.append(f"{at or 'value'} must be a mapping")
            return {}
        item = typing.get_args(kind)[1]
        return {
            str(key): _decode(item, value, f"{at}.{key}".lstrip("."), problems)
            for key, value in data.items()
        }
    return _decode_scalar(kind, data, at, problems)


def _decode_dataclass(kind: type, data: Any, at: str, problems: list[str]) -> Any:
    if not isinstance(data, Mapping):
        problems.append(f"{at or 'value'} must be a mapping")
        return None
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    before = len(problems)
    for key in data:
        if key not in fields:
            near = did_you_mean(key, fields) or f" (known: {', '.join(fields)})"
            problems.append(f"unknown key {shown(f'{at}.{key}'.lstrip('.'))}{near}")
    values = {}
    for name, field in fields.items():
        path = f"{at}.{name}".lstrip(".")
        if name in data:
            values[name] = _decode(hints[name], data[name], path, problems)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"{path} is missing")
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        problems.append(f"{at}: {error}" if at else str(error))
        return None


def _decode_union(kind: Any, data: Any, at: str, problems: list[str]) -> Any:
    options = typing.get_args(kind)
    if data is None and type(None) in options:
        return None
    attempts: list[list[str]] = []
    for option in options:
        if option is type(None):
            continue
        found: list[str] = []
        value = _decode(option, data, at, found)
        if not found:
            return value
        attempts.append(found)
    fewest: list[str] = min(attempts, key=len)
    problems.extend(fewest)
    return None


def _decode_tuple(kind: Any, data: Any, at: str, problems: list[str]) -> Any:
    if isinstance(data, str) or not isinstance(data, Sequence):
        problems.append(f"{at or 'value'} must be a list")
        return ()
    items = typing.get_args(kind)
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_decode(items[0], item, f"{at}[{i}]", problems) for i, item in enumerate(data))
    if len(items) != len(data):
        problems.append(f"{at or 'value'} must have {len(items)} items, not {len(data)}")
        return ()
    return tuple(
        _decode(k, item, f"{at}[{i}]", problems)
        for i, (k, item) in enumerate(zip(items, data, strict=True))
    )


def _decode_scalar(kind: Any, data: Any, at: str, problems: list[str]) -> Any:
    if kind is bool:
        data = switch(data)
    if kind is Path and isinstance(data, (str, Path)):
        return Path(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError:
            problems.append(f"{at or 'value'} is too large for a number")
            return data
    if kind is int and isinstance(data, bool):
        problems.append(f"{at or 'value'} must be a whole number, not {shown(data)}")
    elif not isinstance(data, kind):
        name = _NAMES.get(kind, getattr(kind, "__name__", kind))
        problems.append(f"{at or 'value'} must be {name}, not {shown(data)}")
    return data
