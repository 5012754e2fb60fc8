"""One journal: what was pushed from a release's package is withdrawn from there, also after the
package was made again or moved away."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import hubkit
from hubkit.errors import RemoteError, UsageError
from hubkit.publishing.publish import JOURNAL, keep_journal_in

NAMES = {".json", ".jsonl"}


@pytest.fixture
def package(tracked: Path, tmp_path: Path) -> Path:
    """As a run lays it out: the journal beside the stages, the package in its stage."""
    folder = tmp_path / "run" / "package" / tracked.name
    folder.parent.mkdir(parents=True)
    tracked.rename(folder)
    keep_journal_in(tmp_path / "run" / "journal", folder)
    return folder


def test_a_push_of_a_package_is_withdrawn_from_it(package: Path, tmp_path: Path) -> None:
    to, journal = f"git:{tmp_path}/hub/InternVL2-Tiny.git", tmp_path / "run" / "journal"
    hubkit.push(package, to)
    assert {path.suffix for path in journal.iterdir()} == NAMES
    assert hubkit.verify(package, to).files > 5
    gone = hubkit.withdraw(package, to)
    assert gone.done == ("the tag v1.0.0 is deleted",)
    assert hubkit.withdraw(package, to).done == ()


def test_every_spelling_of_a_place_has_one_receipt(
    tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hubkit.push(tracked, f"git:{tmp_path}/hub/InternVL2-Tiny.git")
    for spelling in ("./hub/InternVL2-Tiny.git", "hub/InternVL2-Tiny.git"):
        assert hubkit.withdraw(tracked, f"git:{spelling}").done == ("the tag v1.0.0 is deleted",)
        hubkit.push(tracked, f"git:file://{tmp_path}/hub/InternVL2-Tiny.git")
    with pytest.raises(UsageError, match="named more than once"):
        hubkit.push(tracked, ["git:./hub/a.git", f"git:{tmp_path}/hub/a.git"])


def test_verifying_looks_at_the_branch_too(tracked: Path, tmp_path: Path) -> None:
    """And what its remedy says mends it."""
    to, remote = f"git:{tmp_path}/hub/InternVL2-Tiny.git", tmp_path / "hub" / "InternVL2-Tiny.git"
    hubkit.push(tracked, to)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    empty = git(remote, "hash-object", "-w", "-t", "tree", "--stdin").strip()
    commit = git(remote, *identity, "commit-tree", empty, "-p", "main", "-m", "all gone").strip()
    git(remote, "update-ref", "refs/heads/main", commit)
    assert hubkit.verify(tracked, to, revision="v1.0.0").files > 5
    with pytest.raises(RemoteError, match="released, and main does not show it") as told:
        hubkit.verify(tracked, to)
    assert "model.safetensors: missing at the hub" in told.value.message
    assert "run `hubkit push` again" in told.value.remedy
    hubkit.push(tracked, to)
    assert hubkit.verify(tracked, to).files > 5


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=repository, capture_output=True, text=True, check=True, input=""
    )
    return done.stdout


def test_a_package_that_was_made_again_knows_the_push(package: Path, tmp_path: Path) -> None:
    to = f"git:{tmp_path}/hub/InternVL2-Tiny.git"
    hubkit.push(package, to)
    shutil.copytree(package, tmp_path / "again", symlinks=True)
    shutil.rmtree(package)
    (tmp_path / "again").rename(package)
    (package / ".git" / JOURNAL).unlink()
    keep_journal_in(tmp_path / "run" / "journal", package)
    assert hubkit.withdraw(package, to).done == ("the tag v1.0.0 is deleted",)


def test_a_package_that_was_moved_away_says_how_to_go_on(package: Path, tmp_path: Path) -> None:
    to, moved = f"git:{tmp_path}/hub/InternVL2-Tiny.git", tmp_path / "elsewhere" / "InternVL2-Tiny"
    hubkit.push(package, to)
    moved.parent.mkdir()
    package.rename(moved)
    with pytest.raises(UsageError, match="nothing was pushed from here") as caught:
        hubkit.withdraw(moved, to)
    assert caught.value.remedy == "push again (what is there is not sent again)"
    hubkit.push(moved, to)  # as the remedy says
    assert (moved / ".git" / JOURNAL).is_dir() and not (moved / ".git" / JOURNAL).is_symlink()
    assert hubkit.withdraw(moved, to).done == ("the tag v1.0.0 is deleted",)
