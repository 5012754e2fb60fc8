"""The interpreter of a worker: this one, another one, and one that is none."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testing.odd_plugin import Watcher, train

from hubkit.environments import CURRENT, Environment, health
from hubkit.sdk import EnvironmentFailure, PluginError, UsageError
from hubkit.sdk.install import install

Make = Callable[..., Any]


def test_health_of_this_interpreter(make: Make, tmp_path: Path) -> None:
    found = health(
        make("pass", modules='(("numpy", "1.0"), ("json", ""))'), CURRENT, tmp_path / "health"
    )
    assert found.missing == ()
    assert found.versions["numpy"] == importlib.import_module("numpy").__version__
    assert found.python == ".".join(map(str, sys.version_info[:3]))


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    make: Make, tmp_path: Path
) -> None:
    plugin = make("return done()", modules='(("numpy", "999"), ("no_such_module", "1.2"))')
    for ask in (
        lambda: health(plugin, CURRENT, tmp_path / "health"),
        lambda: train(plugin, tmp_path),
    ):
        with pytest.raises(EnvironmentFailure) as caught:
            ask()
        assert type(caught.value) is EnvironmentFailure
        assert re.search(r"numpy [\d.]+ is older than 999", caught.value.message)
        assert "no_such_module: ModuleNotFoundError" in caught.value.message
        assert caught.value.remedy == install("peft")
    other = Environment(Path(sys.executable))
    with pytest.raises(EnvironmentFailure) as caught:
        health(plugin, other, tmp_path / "health")
    assert caught.value.remedy.startswith(f"{sys.executable} -m pip install ")
    assert re.search(r"'peft>=[\d.]+'", caught.value.remedy)
    assert re.search(r"'torch>=[\d.]+'", caught.value.remedy)


def test_an_interpreter_that_is_none(make: Make, tmp_path: Path) -> None:
    plugin = make("return done()")
    with pytest.raises(EnvironmentFailure, match=f"there is no interpreter {tmp_path / 'nothing'}"):
        train(plugin, tmp_path, environment=Environment(tmp_path / "nothing"))
    with pytest.raises(EnvironmentFailure, match="is a folder") as caught:
        train(plugin, tmp_path, environment=Environment(tmp_path))
    assert str(tmp_path / "bin" / "python") in caught.value.remedy
    broken = tmp_path / "python"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentFailure, match=r"cannot be started"):
        train(plugin, tmp_path, environment=Environment(broken))


def test_environments_as_release_yaml_writes_them() -> None:
    assert Environment.parse("current") == CURRENT
    assert Environment.parse({"python": "~/env/bin/python"}) == Environment(
        Path("~/env/bin/python")
    )
    assert Environment.parse("locked") == Environment(locked="")
    assert Environment.parse({"locked": "cu12"}) == Environment(locked="cu12")
    for wrong in ("conda", {}, {"python": ""}, {"locked": ""}, {"python": "x", "more": 1}):
        with pytest.raises(UsageError, match="not an environment"):
            Environment.parse(wrong)


def interpreters() -> list[Path]:
    found = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    return [path for path in found if re.search(r"/3\.(9|1[0-9])\.", str(path))]


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.parts[-3])
def test_a_worker_in_another_interpreter(make: Make, tmp_path: Path, python: Path) -> None:
    plugin = make(
        "run.progress(1, 1, 'steps')\nreturn done(python=sys.executable, rank=job.options['rank'])"
    )
    if "/3.9." in str(python):
        with pytest.raises(
            PluginError,
            match=r"Python 3\.9 is too old for a worker: "
            r"name an interpreter of Python 3\.10 or newer",
        ):
            train(plugin, tmp_path, environment=Environment(python))
        return
    watcher = Watcher()
    output = train(plugin, tmp_path, watcher, environment=Environment(python))
    assert output.settings == {"python": str(python), "rank": 16}
    assert watcher.reports == [(1, 1, "steps", {})]
