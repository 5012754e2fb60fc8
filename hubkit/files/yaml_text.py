"""YAML from outside, under bounds: plain data and the line of each key. Duplicate keys, values that
YAML cannot make and numbers that are not finite are problems, told with their line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from hubkit.sdk.excerpt import shown

from .yaml_core import CoreLoader

Location = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_ITEMS = 20_000
"""Values, each as often as aliases repeat it."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_KINDS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_DIGITS = 100
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Control characters and halves of surrogate pairs, which escapes like `\\0` make."""


@dataclass(frozen=True)
class Parsed:
    """`lines` maps a location such as ("train", "options", "rank") to its 1-based line; `problems`
    begin with theirs."""

    data: Any
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class BoundsError(yaml.MarkedYAMLError):
    """Too deep or too many values."""


class _Loader(CoreLoader):
    """Stops at the bounds while it reads: yaml's parser asks for a node at a time."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        self._count += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > MAX_DEPTH:
            raise BoundsError(None, None, f"nested deeper than {MAX_DEPTH}", mark)
        if self._count > MAX_ITEMS:
            raise BoundsError(None, None, f"more than {MAX_ITEMS:,} values", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def parse(text: str) -> Parsed:
    """The one document in `text`; None where it is empty.

    Raises:
        yaml.YAMLError: it is not YAML, nested deeper than 32, or has more than 20,000 values,
            counted as often as aliases repeat them.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        parsed = Parsed(None)
        return parsed if node is None else _Reading(loader, parsed).whole(node)
    finally:
        loader.dispose()


def load(text: str) -> Any:
    """The data of `parse`; None where there is none. Raises ValueError for what that raises and for
    all that it tells."""
    try:
        parsed = parse(text)
    except yaml.YAMLError as error:
        raise ValueError(why(error)) from None
    if parsed.problems:
        raise ValueError("; ".join(parsed.problems))
    return parsed.data


def why(error: yaml.YAMLError) -> str:
    """What is wrong, in one line, with the line where yaml tells it."""
    if isinstance(error, yaml.MarkedYAMLError):
        at = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{at}{error.problem}"
    return " ".join(str(error).split())


class _Reading:
    """From yaml's nodes to plain data."""

    def __init__(self, loader: yaml.SafeLoader, parsed: Parsed) -> None:
        self._loader, self._count = loader, 0
        self._lines, self._problems = parsed.lines, parsed.problems

    def whole(self, node: yaml.Node) -> Parsed:
        return Parsed(self._plain(node, (), frozenset()), self._lines, self._problems)

    def _plain(self, node: yaml.Node, at: Location, above: frozenset[int]) -> Any:
        self._count += 1
        if self._count > MAX_ITEMS:
            message = f"more than {MAX_ITEMS:,} values, each as often as aliases repeat it"
            raise BoundsError(None, None, message, node.start_mark)
        if len(at) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} by aliases"
            raise BoundsError(None, None, message, node.start_mark)
        if id(node) in above:
            self._problems.append(f"{_line(node)}: an alias that contains itself")
            return None
        if node.tag not in _KINDS and not isinstance(node, yaml.ScalarNode):
            self._problems.append(f"{_line(node)}: {shown(node.tag)} is no kind of value here")
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*at, index)] = item.start_mark.line + 1
            above |= {id(node)}
            return [self._plain(item, (*at, i), above) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, at, above | {id(node)}))
        return self._scalar(node)

    def _pairs(
        self, node: yaml.MappingNode, at: Location, above: frozenset[int]
    ) -> Iterator[tuple[str, Any]]:
        found: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.append(f"{_line(key_node)}: a key must be a single value")
                continue
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in found:
                first = self._lines[(*at, key)]
                self._problems.append(
                    f"line {line}: {shown(key)} is given twice (first on line {first})"
                )
            found.add(self._text(key, key_node))
            self._lines[(*at, key)] = line
            yield key, self._plain(value_node, (*at, key), above)

    def _scalar(self, node: yaml.Node) -> Any:
        problem = ""
        if node.tag in _NUMBERS and len(node.value) > _DIGITS:
            problem = f"a number of {len(node.value):,} characters"
        else:
            try:
                value = self._loader.construct_object(node)
            except Exception as error:  # yaml lets through whatever int() or re.match() raise
                reason = why(error) if isinstance(error, yaml.YAMLError) else str(error)
                problem = f"not a value ({reason.partition(': ')[2] or reason})"
            else:
                if isinstance(value, str):
                    return self._text(value, node)
                if not (isinstance(value, float) and not math.isfinite(value)):
                    return value
                problem = "not a finite number"
        self._problems.append(
            f"{_line(node)}: {shown(node.value)} is {problem}; put text in quotes"
        )
        return None

    def _text(self, text: str, node: yaml.Node) -> str:
        if wrong := _CONTROL.search(text):
            self._problems.append(
                f"{_line(node)}: {shown(text)} holds the character U+{ord(wrong[0]):04X}"
            )
        return _CONTROL.sub("\ufffd", text)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
