"""Lock files: what is read, what is refused, and which one fits a machine."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from testing.locked_plugin import PLATFORM, PYTHON, lock, lock_file, step

from hubkit.environments import choice, locks, machine, store
from hubkit.registry.plugins import plugins
from hubkit.sdk import EnvironmentFailure, UsageError

HASH = "sha256:" + "0" * 64


def read(folder: Path, data: Any, name: str = "") -> locks.Lock:
    path = folder / (name or lock_file(data))
    path.write_text(json.dumps(data))
    return locks.read_lock(path, "tinylock")


def test_a_lock_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    steps = [
        step("torch==2.13.0", "Some_Name==1!2.0rc1+cpu"),
        step("deepspeed==0.16.2", isolated=False, variables={"DS_BUILD_OPS": "0"}),
        step("a.b==1", hashes={"A-B": [HASH]}),
    ]
    data = lock(*steps, variant="cu12")
    found = read(tmp_path, data)
    assert (found.variant, found.packages, found.steps[1].isolated) == ("cu12", 4, False)
    assert found.versions == {
        "torch": "2.13.0",
        "some-name": "1!2.0rc1+cpu",
        "deepspeed": "0.16.2",
        "a-b": "1",
    }
    assert found.steps[2].requirements == f"a.b==1 --hash={HASH}\n"
    assert json.loads(locks.text(found)) == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2 is not known"),
        ({"steps": [step("torch>=2")]}, r"steps\[0\]: not of the form name==version: torch>=2"),
        ({"steps": [step("--index-url=x==1")]}, "not of the form"),
        ({"steps": [step("a==1\n-r /etc/passwd")]}, "not of the form"),
        ({"steps": [step("a @ file:///x")]}, "not of the form"),
        ({"steps": [step()]}, "a step without packages"),
        ({"steps": [step("a.b==1"), step("A_B==2")]}, "locked more than once: a-b"),
        (
            {"steps": [step("a==1", "b==1", hashes={"a": [HASH]})]},
            "for every package of the step, or for none",
        ),
        ({"steps": [step("a==1", hashes={"a": ["md5:1"]})]}, "not a sha256 hash: md5:1"),
        ({"steps": [step("a==1", variables={"A B": "1"})]}, "not the name of a variable: A B"),
        ({"steps": [step("a==1", isolate=True)]}, r"unknown key 'steps\[0\].isolate'"),
        ({"plugin": "../x"}, "plugin is '../x'"),
        ({"variant": "../x"}, "variant is '../x'"),
        ({"python": "3"}, "python is '3'"),
        ({"platform": "x/y"}, "platform is 'x/y'"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_what_is_not_a_lock_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, {**lock(), **change}, "cpu.json")
    assert str(tmp_path / "cpu.json") in caught.value.message
    assert "hubkit env lock" in caught.value.remedy


def test_a_lock_under_another_name_or_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=f"is the lock {re.escape(lock_file(lock()))} of tinylock, not cpu.json of tinylock",
    ):
        read(tmp_path, lock(), "cpu.json")
    with pytest.raises(UsageError, match="of other, not"):
        read(tmp_path, {**lock(), "plugin": "other"})
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UsageError, match=r"broken.json cannot be read: Expecting"):
        locks.read_lock(tmp_path / "broken.json", "tinylock")


def test_the_name_follows_the_packages_python_and_platform(tmp_path: Path) -> None:
    names = {
        store.name_of(read(tmp_path, data))
        for data in (
            lock(),
            lock(step("tinyone==1.1")),
            lock(python="3.99"),
            lock(platform="linux_other"),
            lock(variant="cu12"),
        )
    }
    assert len(names) == 5
    assert all(re.fullmatch(r"tinylock-[0-9a-f]{12}", name) for name in names)
    assert store.name_of(read(tmp_path, lock())) == store.name_of(
        read(tmp_path, dict(reversed(lock().items())))
    )


# --- which one fits
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "variants", "chosen"),
    [
        (0, ("cpu", "cu12", "cu13"), "cpu"),
        (12, ("cpu", "cu12", "cu13"), "cu12"),
        (13, ("cpu", "cu12", "cu13"), "cu13"),
        (14, ("cpu", "cu12", "cu9"), "cu12"),
        (11, ("cpu", "cu12"), "cpu"),
        (13, ("cpu", "rocm6"), "cpu"),
    ],
)
def test_the_newest_cuda_that_the_driver_offers(
    install: Any, monkeypatch: pytest.MonkeyPatch, cuda: int, variants: tuple[str, ...], chosen: str
) -> None:
    plugin = install(*(lock(variant=variant) for variant in variants))
    monkeypatch.setattr(machine, "cuda", lambda: cuda)
    assert choice.choose(plugin).lock.variant == chosen
    for variant in variants:
        assert choice.choose(plugin, variant).lock.variant == variant


def test_what_does_not_fit_is_named_with_the_reason(
    install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = install(lock(variant="cu12"), lock(variant="cu13", platform="plan9_mips"))
    monkeypatch.setattr(machine, "cuda", lambda: 0)
    with pytest.raises(
        EnvironmentFailure, match=r"trainer tinylock: none of its locks fits this machine"
    ) as caught:
        choice.choose(plugin)
    assert (
        f"cu12-py{PYTHON.replace('.', '')}-{PLATFORM}.json: there is no NVIDIA driver and GPU here"
        in caught.value.message
    )
    assert f"it is for plan9_mips, this is {PLATFORM}" in caught.value.message
    assert "`environment: {locked: cu12}`" in caught.value.remedy
    assert choice.choose(plugin, "cu12").lock.variant == "cu12"
    with pytest.raises(UsageError, match="no lock of variant 'cpu'") as wrong:
        choice.choose(plugin, "cpu")
    assert wrong.value.remedy == "write one of: cu12, cu13"


def test_hubkits_own_python_first_then_the_newest_on_path(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for version, says in (("3.97", "3.97"), ("3.98", "3.98"), ("3.99", "broken")):
        program = programs / f"python{version}"
        program.write_text(f"#!/bin/sh\n[ {says} = broken ] && exit 127\necho {says}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    others = [lock(python=version) for version in ("3.97", "3.98", "3.99")]
    plugin = install(*others)
    assert choice.choose(plugin).python == programs / "python3.98"
    assert choice.choose(plugin).lock.python == "3.98"
    plugin = install(lock(), *others)
    assert choice.choose(plugin).python == Path(sys.executable)
    for file in ("python3.97", "python3.98"):
        (programs / file).write_text("#!/bin/sh\necho 3.1\n")
    machine._runs.cache_clear()
    place = Path(sys.modules["hubkit_tinylock"].__file__ or "").parent / "locks"
    (place / lock_file(lock())).unlink()
    with pytest.raises(EnvironmentFailure, match=r"no python3.98 on PATH that runs") as caught:
        choice.choose(plugin)
    assert "install Python 3.97 or 3.98 or 3.99" in caught.value.remedy
    machine._runs.cache_clear()


def test_a_plugin_without_locks(install: Any) -> None:
    plugin = install()
    for path in (Path(sys.modules["hubkit_tinylock"].__file__ or "").parent / "locks").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"trainer tinylock has no lock") as caught:
        choice.choose(plugin)
    assert "environment: current" in caught.value.remedy


def test_the_locks_of_installed_plugins_are_sound() -> None:
    for kind in ("trainer", "engine"):
        for plugin in plugins().of(kind).values():
            assert all(one.packages > 0 for one in locks.read_locks(plugin)), plugin.name
