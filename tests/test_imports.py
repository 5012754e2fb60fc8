"""The direction of imports, as pyproject.toml states it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    paths = os.pathsep.join(str(path) for path in (ROOT / "plugins").iterdir())
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, inside functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {
        node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0
    }


PLUGINS = sorted(path.name for path in (ROOT / "plugins").glob("*/hubkit_*"))


def test_hubkit_names_no_plugin() -> None:
    offenders = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "hubkit").rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in PLUGINS
    }
    assert len(PLUGINS) >= 5
    assert offenders == set()


def test_a_plugin_imports_the_sdk_and_nothing_else_of_hubkit() -> None:
    """Also of modules that the contracts in pyproject.toml do not list yet."""
    offenders = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "plugins").glob("*/hubkit_*/**/*.py")
        for name in imports(path)
        if name.split(".")[0] == "hubkit" and name.split(".")[:2] != ["hubkit", "sdk"]
    }
    assert offenders == set()
