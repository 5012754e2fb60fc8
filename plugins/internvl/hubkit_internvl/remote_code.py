"""Checks the Python files of a model folder by reading them, never by importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import Problem
from hubkit.sdk.excerpt import shown
from hubkit.sdk.files import read_bytes

from .companions import targets

_LIMIT = 2 << 20
"""Bytes; ast takes two hundred times as much memory. The largest file of OpenGVLab's has 70 kB."""
_HOLDERS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What statements stand in: expressions have none."""
_NEEDED = ("AutoConfig", "AutoModel")


def check_code(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """auto_map's classes exist, and so does every file and name that their modules import from the
    folder."""
    auto_map = config.get("auto_map")
    known = targets(config)
    if not isinstance(auto_map, Mapping) or any(name not in known for name in _NEEDED):
        yield Problem(
            "config.json: auto_map",
            f"must name a module.Class in this folder for {' and '.join(_NEEDED)}; it is "
            f"{shown(auto_map)}",
            "copy auto_map and the .py files from the base model",
        )
    reader = _Reader(folder)
    for auto_class, (module, name) in known.items():
        yield from reader.wanted(module, name, f"config.json: auto_map.{auto_class}")


class _Reader:
    """Follows relative imports from module to module, each module once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, set[str] | None] = {}

    def wanted(self, module: str, name: str | None, where: str) -> Iterator[Problem]:
        if module not in self.names:
            yield from self._read(module, where)
        names = self.names[module]
        if name and names is not None and name not in names:
            yield Problem(
                where,
                f"{module}.py does not define {name}",
                f"copy {module}.py from the base model",
            )

    def _read(self, module: str, where: str) -> Iterator[Problem]:
        path = self.folder / f"{module}.py"
        self.names[module] = None
        remedy = f"copy {path.name} from the base model"
        if not path.is_file():
            yield Problem(where, f"{path.name} is missing", remedy)
            return
        try:
            tree = ast.parse(read_bytes(path, _LIMIT), path.name)
        except OSError as error:
            yield Problem(path.name, f"cannot be read: {error.strerror}", remedy)
            return
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield Problem(path.name, f"is not Python: {str(error)[:200]}", remedy)
            return
        self.names[module] = set(_bound(tree))
        for node in _certain(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                place = f"{path.name}, line {node.lineno}"
                for alias in node.names:
                    if node.module is None:
                        yield from self.wanted(alias.name, None, place)
                    else:
                        yield from self.wanted(
                            node.module, alias.name if alias.name != "*" else None, place
                        )


def _certain(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements but those in the body of a `try`, whose imports may fail."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, _HOLDERS) and not isinstance(child, ast.Try):
            yield child
            yield from _certain(child)


def _bound(tree: ast.Module) -> Iterator[str]:
    """Every name that a module binds at any depth; enough to tell whether an import can work."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
