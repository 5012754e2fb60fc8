"""One journal: what was pushed from a release's package is withdrawn from there, also after the
package was made again or moved away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hubkit
from hubkit.errors import UsageError
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
