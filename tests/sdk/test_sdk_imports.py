"""hubkit.sdk needs a Python and nothing else."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hubkit.sdk

SDK = Path(hubkit.sdk.__file__).parent
FILES = sorted(SDK.rglob("*.py"))
INSIDE = {
    "pictures.py": {"PIL", "numpy"},
    "processing.py": {"torch"},
    "_processors.py": {"transformers"},
}
"""What a file imports when it is called: whoever has pictures, or runs a model, has these."""


def imported(tree: ast.AST, path: Path) -> set[str]:
    """Absolute names of what a file imports; relative ones resolved, as far as they leave the
    SDK."""
    found = set()
    depth = len(path.relative_to(SDK).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            found.add("hubkit (relative)")
    return found


def test_the_reader_of_imports_sees_what_it_must() -> None:
    tree = ast.parse(
        "import torch.nn\nfrom ..weights import x\nfrom .run import Run\ndef f():\n    "
        "from hubkit import spec"
    )
    assert imported(tree, SDK / "run.py") == {"torch.nn", "hubkit (relative)", "hubkit"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SDK).as_posix())
def test_only_the_standard_library_is_imported(path: Path) -> None:
    names = {name.split(".")[0] for name in imported(ast.parse(path.read_text("utf-8")), path)}
    names -= INSIDE.get(path.relative_to(SDK).as_posix(), set())
    assert names <= set(sys.stdlib_module_names), names - set(sys.stdlib_module_names)


def pythons() -> list[Path]:
    """The running interpreter and every other of 3.10 or newer that is at hand."""
    places = [
        *Path.home().glob(".pyenv/versions/3.*/bin/python"),
        *(Path(f"/usr/bin/python3.{minor}") for minor in range(10, 16)),
    ]
    found = {path.resolve(): path for path in places if path.exists()}
    versions = {path: re.search(r"3\.(\d+)", path.name) for path in found}
    new = [found[path] for path, version in versions.items() if version and int(version[1]) >= 10]
    return [Path(sys.executable), *sorted(new)]


@pytest.mark.parametrize("python", pythons(), ids=str)
def test_a_bare_interpreter_imports_all_of_it(tmp_path: Path, python: Path) -> None:
    (tmp_path / "hubkit").mkdir()
    (tmp_path / "hubkit" / "__init__.py").touch()
    shutil.copytree(SDK, tmp_path / "hubkit" / "sdk", ignore=shutil.ignore_patterns("__pycache__"))
    modules = [
        ".".join(path.relative_to(SDK.parent.parent).with_suffix("").parts) for path in FILES
    ]
    code = f"""
import importlib, json, sys
sys.path[:] = [{str(tmp_path)!r}, *[p for p in sys.path if "site-packages" not in p]]
for name in {modules!r}:
    importlib.import_module(name)
foreign = [m.__name__ for m in list(sys.modules.values()) if "-packages" in str(getattr(m, "__file__", ""))]
print(json.dumps([foreign, sys.modules["hubkit.sdk"].__file__, sys.version_info[:2]]))
"""  # noqa: E501
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    foreign, file, version = json.loads(done.stdout)
    assert foreign == []
    assert file == str(tmp_path / "hubkit" / "sdk" / "__init__.py")
    assert version >= [3, 10]


def test_what_is_offered_is_what_is_there() -> None:
    assert sorted(set(hubkit.sdk.__all__)) == sorted(hubkit.sdk.__all__)
    assert [name for name in hubkit.sdk.__all__ if not hasattr(hubkit.sdk, name)] == []
