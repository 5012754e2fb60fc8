"""YAML by the core schema of its version 1.2, which is what people mean: `on`, `off`, `yes` and
`no` are words, `2026-01-31` is text, `3e-5` is a number. PyYAML alone reads version 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml

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
