"""YAML by the core schema of its version 1.2, which is what people mean: `on`, `off`, `yes` and
`no` are words, `2026-01-31` is text, `3e-5` is a number. PyYAML alone reads version 1.1."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_NODES = 100_000
_DEPTH = 100
_TOO_DEEP = f"it is nested more than {_DEPTH} deep"


class CoreLoader(yaml.SafeLoader):
    """As yaml.SafeLoader, by the core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        """PyYAML takes seconds to find that thousands of brackets are too many."""
        if self.flow_level > _DEPTH:
            raise yaml.YAMLError(_TOO_DEEP)
        super().fetch_flow_collection_start(token_class)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Raises ConstructorError for a key that is given twice."""
        seen: dict[Hashable, int] = {}
        for key, _ in node.value:
            name, line = key.value, key.start_mark.line + 1
            if isinstance(name, str) and seen.setdefault(name, line) != line:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"{name!r} is given twice (first on line {seen[name]})",
                    key.start_mark,
                )
        return super().construct_mapping(node, deep)


def _whole(loader: CoreLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
for _name, (_pattern, _first) in _PLAIN.items():
    CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first
    )
CoreLoader.add_constructor("tag:yaml.org,2002:int", _whole)


def load(text: str) -> Any:
    """The value of one YAML document.

    Raises:
        yaml.YAMLError: with line and column where they are known; also for what a person did not
            write: aliases that make more than 100,000 values, nesting beyond 100, numbers of
            thousands of digits.
    """
    loader = CoreLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, frozenset()) > _NODES:
            raise yaml.YAMLError(f"its aliases make more than {_NODES:,} values")
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def problem(error: yaml.YAMLError) -> str:
    """What is wrong and, where it is known, in which line of the text."""
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {told}" if mark else told


def _size(node: yaml.Node, known: dict[int, int], above: frozenset[int]) -> int:
    """How many values the node is, an alias counted each time."""
    if id(node) in above:
        raise yaml.YAMLError("an alias contains itself")
    if len(above) > _DEPTH:
        raise yaml.YAMLError(_TOO_DEEP)
    if id(node) not in known:
        inner = above | {id(node)}
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        nodes = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        known[id(node)] = 1 + sum(_size(one, known, inner) for one in nodes)
    return known[id(node)]
