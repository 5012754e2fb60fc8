"""A damaged run folder: rebuilt to the very same release, or named; never a crash."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testing.projects import NAME

import hubkit
from hubkit.errors import EnvironmentFailure, UsageError
from hubkit.files.disk import failure, remove

pytestmark = pytest.mark.xdist_group("released")
Released = tuple[Path, hubkit.ReleaseResult]


def spoil(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text)


def first_object(folder: Path) -> Path:
    return next(path for path in (folder / ".git" / "objects").glob("??/*"))


DAMAGE: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "no .git": (lambda run, folder: remove(folder / ".git"), "is not staged for Git LFS"),
    "a git object": (lambda run, folder: remove(first_object(folder)), "does not hold commit"),
    "the branch": (
        lambda run, folder: spoil(folder / ".git/refs/heads/main", "0" * 40 + "\n"),
        "does not hold commit",
    ),
    "an LFS object": (
        lambda run, folder: shutil.rmtree(folder / ".git" / "lfs" / "objects"),
        "edited in place",
    ),
    "the record": (
        lambda run, folder: spoil(folder / ".git" / "hubkit-staged.json", "[" * 9999),
        "is damaged",
    ),
    "its seal": (lambda run, folder: spoil(run / "package/seal.json", "{"), "first run"),
    "a seal of another version": (
        lambda run, folder: spoil(
            run / "package/seal.json",
            (run / "package/seal.json").read_text().replace('"in_lfs"', '"in_l"'),
        ),
        "unknown key 'in_l'",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_package_is_made_again_and_is_the_same(released: Released, what: str) -> None:
    spec, before = released
    damage, said = DAMAGE[what]
    assert before.folder is not None
    damage(spec.parent / ".hubkit" / NAME, before.folder)
    plan = {stage.stage: stage for stage in hubkit.plan(spec, until="publish")}
    assert plan["package"].state == "run"
    assert said in " ".join(plan["package"].reasons)
    assert plan["evaluate"].state == "cached"
    again = hubkit.release(spec, until="publish")
    assert again.commit == before.commit and again.receipts == before.receipts
    assert {stage.state for stage in hubkit.plan(spec)} == {"cached"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": ["1-2-3", "x"]}', "[" * 9999])
@pytest.mark.parametrize("name", ["plan.json", "digests.json"])
def test_a_damaged_plan_or_cache_changes_nothing(
    released: Released, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # a date made anew would be another
    run = released[0].parent / ".hubkit" / NAME
    planned = (run / "plan.json").read_text()
    (run / name).write_text(text)
    assert {stage.state for stage in hubkit.plan(released[0])} == {"cached"}
    assert (run / "plan.json").read_text() == planned
    assert json.loads((run / "digests.json").read_text())


def test_a_damaged_receipt_is_named(released: Released, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    assert released[1].folder is not None
    shutil.copytree(released[1].folder, folder, symlinks=True)
    to = f"git:{tmp_path}/{NAME}.git"
    hubkit.push(folder, to)
    kept = next((folder / ".git" / "hubkit-journal").glob("*.json"))
    kept.write_text("{")
    with pytest.raises(UsageError, match=f"{kept.name} is damaged") as caught:
        hubkit.withdraw(folder, to)
    assert "push again" in caught.value.remedy
    hubkit.push(folder, to)
    hubkit.withdraw(folder, to)


@pytest.fixture
def read_only(released: Released, tmp_path: Path) -> Iterator[Path]:
    """A run folder that nobody may write to; as root writes everywhere, on a disk of its own."""
    run = tmp_path / "work" / ".hubkit"
    run.mkdir(parents=True)
    if os.geteuid():
        run.chmod(0o555)
        yield run
        run.chmod(0o755)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(run)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield run
    subprocess.run(["umount", str(run)], check=True)


def test_a_read_only_run_folder_is_an_environment_failure(
    released: Released, read_only: Path
) -> None:
    with pytest.raises(EnvironmentFailure, match=str(read_only)) as caught:
        hubkit.release(released[0], workdir=read_only.parent)
    assert "--workdir" in caught.value.remedy


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_with_its_place_and_what_is_needed(tmp_path: Path, number: int) -> None:
    told = failure(OSError(number, "No room", str(tmp_path / "x" / "y")), needed=5_000_000)
    assert told is not None and told.exit_code == 4
    assert f"{tmp_path}/x/y: No room; 5,000,000 bytes are needed, " in told.message
    assert f"bytes are free in {tmp_path}" in told.message
    assert "make room" in told.remedy
    assert failure(OSError(errno.EIO, "Input/output error", "x")) is None
