"""YAML with a memory: plain data and the line on which each key stands. Duplicate keys are
errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...errors import SpecError
from ...files.yaml_core import CoreLoader

Location = tuple[str | int, ...]
_LIMIT = 1 << 20


@dataclass(frozen=True)
class Document:
    """`lines` maps a location such as ("train", "options", "rank") to its 1-based line."""

    path: Path
    data: Any
    lines: dict[Location, int]
    problems: tuple[str, ...]

    def line(self, location: Location) -> int | None:
        """The line of `location`, or of the nearest enclosing key that is in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read(path: Path) -> Document:
    """Raises SpecError when the file is missing, too large, not UTF-8 or not YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}",
            "give the path of a release.yaml, or write one with `hubkit init`",
        ) from None
    if len(raw) > _LIMIT:
        raise SpecError(
            f"{path} has {len(raw):,} bytes; a release file has at most {_LIMIT:,}",
            "is it the right file?",
        )
    try:
        loader = CoreLoader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: not UTF-8 (byte {error.start})", "save the file as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        at = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        unquoted = error.context == "while scanning a block scalar"
        remedy = (
            "put a value that begins with > in quotes"
            if unquoted
            else "correct the YAML; indentation is by spaces"
        )
        raise SpecError(f"{path}{at}: {error.problem}", remedy) from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML ({error})", "correct the YAML") from None
    lines: dict[Location, int] = {}
    problems: list[str] = []
    data = _plain(loader, node, (), lines, problems, frozenset()) if node is not None else {}
    return Document(path, data, lines, tuple(problems))


def _plain(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    at: Location,
    lines: dict[Location, int],
    problems: list[str],
    above: frozenset[int],
) -> Any:
    if id(node) in above:
        problems.append(f"line {node.start_mark.line + 1}: an alias that contains itself")
        return None
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, index)] = item.start_mark.line + 1
        return [
            _plain(loader, item, (*at, i), lines, problems, above)
            for i, item in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in result:
            problems.append(
                f"line {line}: {key!r} is given twice (first on line {lines[(*at, key)]})"
            )
        lines[(*at, key)] = line
        result[key] = _plain(loader, value_node, (*at, key), lines, problems, above)
    return result
