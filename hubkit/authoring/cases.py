"""What a plugin's package brings and imports: the case of its module `conformance`, and its imports
of hubkit."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..sdk.testing import ConformanceError, Undriven
from ..sdk.testing.cases import CASES
from .placement import Undrivable


def case_of(plugin: Any, module: str, folder: Path, *, needed: bool = True) -> Any:
    """What the plugin brings; None when it brings nothing and that is not `needed`.

    Raises:
        Undrivable: it brings nothing, or says why it cannot be driven.
        ConformanceError: it brings something else.
    """
    folder.mkdir(parents=True)
    name, brought = _brought(module, folder)
    case, wanted = (
        brought.get(plugin.name) if isinstance(brought, Mapping) else brought,
        CASES[plugin.kind],
    )
    if case is None and needed:
        nothing = (
            f"its `case` has nothing for {plugin.name!r}"
            if name
            else "no module `conformance` with `case(folder)`"
        )
        raise Undrivable(f"{module.partition('.')[0]}: {nothing}")
    if isinstance(case, Undriven):
        raise Undrivable(case.reason)
    if case is not None and not isinstance(case, wanted):
        raise ConformanceError(
            f"{name}.case returned {type(case).__name__}, a {plugin.kind} brings {wanted.__name__}"
        )
    return case


def _brought(module: str, folder: Path) -> tuple[str, Any]:
    """(module, what its `case` returned), of the package nearest to the plugin."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join((*parts[:count], "conformance"))
        try:
            return name, importlib.import_module(name).case(folder)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    return "", None


def strays(module: str) -> Iterator[str]:
    """Imports of other parts of hubkit in the package's source."""
    top = importlib.import_module(module.partition(".")[0])
    file = Path(str(top.__file__))
    for source in sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file]:
        for node in ast.walk(ast.parse(source.read_bytes())):
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = (
                    [str(node.module)]
                    if node.module != "hubkit"
                    else [f"hubkit.{a.name}" for a in node.names]
                )
            else:
                continue
            for name in names:
                if name.split(".")[0] == "hubkit" and name.split(".")[:2] != ["hubkit", "sdk"]:
                    yield f"{source.name}, line {node.lineno}: {name}"
