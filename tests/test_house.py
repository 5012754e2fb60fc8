"""The house: which way imports point, what no room may reach into, what may stand loose."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hubkit

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


def imports(path: Path, types: bool = True) -> set[str]:
    """Absolute names of what a file imports, inside functions too: modules, and each name that a
    `from` takes; without `types`, not what is imported for annotations only."""
    package = path.relative_to(_root_of(path)).with_suffix("").parts[:-1]
    tree, found = ast.parse(path.read_text("utf-8")), set()
    if not types:
        tree.body = [node for node in tree.body if "if TYPE_CHECKING:" not in ast.unparse(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def _root_of(path: Path) -> Path:
    """The folder from which the absolute names of `path` count."""
    parts = path.relative_to(ROOT).parts
    return ROOT / "plugins" / parts[1] if parts[0] == "plugins" and len(parts) > 2 else ROOT


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


OURS = [path for top in ("hubkit", "plugins", "tests") for path in (ROOT / top).rglob("*.py")]


def test_no_public_name_is_also_a_room() -> None:
    """Importing a package sets its name on `hubkit`, in place of the function's."""
    rooms = {path.stem for path in (ROOT / "hubkit").iterdir() if path.suffix in {"", ".py"}}
    assert rooms & set(hubkit.__all__) == set()


def test_few_modules_stand_loose() -> None:
    loose = sorted(path.name for path in (ROOT / "hubkit").glob("*.py"))
    assert len([name for name in loose if not name.startswith("__")]) <= 8, loose


def test_the_layers_name_every_room() -> None:
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11 and newer
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = (
        one for one in contract["tool"]["importlinter"]["contracts"] if one["type"] == "layers"
    )
    assert (layers["containers"], layers["exhaustive"]) == (["hubkit"], True)


def test_no_private_module_is_imported_from_outside_its_package() -> None:
    """A plugin's tests, which lie beside it, are inside."""
    modules = {
        ".".join(path.relative_to(_root_of(path)).with_suffix("").parts)
        for path in OURS
        if path.name.startswith("_") and not path.name.startswith("__")
    }
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in OURS
        for name in imports(path)
        for module in modules
        if f"{name}.".startswith(f"{module}.") and not _inside(path, module)
    ]
    assert "hubkit.cli._show" in modules
    assert offenders == []


def _inside(path: Path, module: str) -> bool:
    package = module.rpartition(".")[0]
    here = ".".join(path.relative_to(_root_of(path)).parts)
    beside = path.is_relative_to(ROOT / "plugins") and (_root_of(path) / package).is_dir()
    return here.startswith(f"{package}.") or beside


def test_the_command_line_calls_the_api_and_nothing_else() -> None:
    allowed = ("api", "cli", "errors", "reporting", "sdk.codec", "sdk.text", "__version__")
    offenders = {
        f"{path.name}: {name}"
        for path in (ROOT / "hubkit" / "cli").glob("*.py")
        for name in imports(path, types=False) - {"hubkit", "hubkit.sdk"}
        if name.startswith("hubkit.")
        and not name.startswith(tuple(f"hubkit.{one}" for one in allowed))
    }
    assert offenders == set()


def test_a_stage_takes_public_names_only() -> None:
    offenders = {
        f"{path.name}: {name}"
        for path in (ROOT / "hubkit" / "pipeline" / "stages").glob("*.py")
        for name in imports(path)
        if any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    }
    assert offenders == set()


@pytest.mark.xdist_group("house")
def test_what_is_built_once_stays_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist groups by what it appends to a test's id; with some versions of pytest it does
    not arrive, and nothing says so."""
    if request.config.getoption("loadgroup", False):
        assert request.node.nodeid.endswith("@house")
