import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hubkit.packaging import manifest
from hubkit.packaging.lfs import StagedCommit, check_unchanged
from hubkit.packaging.manifest import Manifest
from hubkit.packaging.objects import object_path
from hubkit.sdk import RefusedError, UsageError

Release = Callable[..., tuple[Path, Manifest]]
Stage = Callable[..., StagedCommit]


def age(folder: Path, seconds: int = 3600) -> None:
    """As if the files were written an hour ago."""
    then = time.time() - seconds
    for path in folder.iterdir():
        os.utime(path, (then, then))


def edit_in_place(path: Path) -> None:
    """One byte, the size as before; also past the read-only mode."""
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))


@pytest.mark.parametrize("aged", [True, False])
def test_an_edit_in_place_is_refused(release: Release, stage: Stage, aged: bool) -> None:
    folder, listed = release()
    if aged:
        age(folder)
    stage(folder, listed)
    check_unchanged(folder, listed)
    edit_in_place(folder / "model.safetensors")
    with pytest.raises(RefusedError) as caught:
        check_unchanged(folder, manifest.read(folder))
    assert (
        "edited in place since the release was staged: model.safetensors;" in caught.value.message
    )
    assert "package the release again" in caught.value.remedy


def test_an_edit_within_the_clock_tick_of_staging_is_refused(
    release: Release, stage: Stage
) -> None:
    """The same size, and the modification time put back to what it was."""
    folder, listed = release()
    stage(folder, listed)
    path = folder / "model.safetensors"
    before = path.stat()
    edit_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RefusedError, match=r"model\.safetensors"):
        check_unchanged(folder, manifest.read(folder))


def test_replacing_the_file_does_no_harm(release: Release, stage: Stage) -> None:
    folder, listed = release()
    stage(folder, listed)
    path = folder / "model.safetensors"
    digest = next(file.sha256 for file in listed.files if file.path == path.name)
    fresh = folder.parent / "fresh"
    fresh.write_bytes(b"something else")
    fresh.replace(path)
    check_unchanged(folder, listed)
    assert object_path(folder / ".git", digest).read_bytes() != b"something else"


def test_the_files_are_read_only_but_a_shared_one_keeps_its_mode(
    release: Release, stage: Stage
) -> None:
    folder, listed = release()
    os.link(folder / "model.safetensors", folder.parent / "base.safetensors")
    stage(folder, listed)
    assert (folder.parent / "base.safetensors").stat().st_mode & 0o222
    assert (folder / "big [v1] tokens.json").stat().st_mode & 0o222 == 0
    edit_in_place(folder.parent / "base.safetensors")
    with pytest.raises(RefusedError, match=r"model\.safetensors"):
        check_unchanged(folder, manifest.read(folder))


def test_a_touched_file_is_read_once_and_accepted(
    release: Release, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, listed = release()
    age(folder)
    stage(folder, listed)
    then = time.time() - 60
    os.utime(folder / "model.safetensors", (then, then))
    check_unchanged(folder, listed)
    monkeypatch.setattr(
        "hubkit.packaging.lfs.sha256", lambda path: pytest.fail(f"{path} was read again")
    )
    check_unchanged(folder, listed)


def test_a_missing_object_is_refused(release: Release, stage: Stage) -> None:
    folder, listed = release()
    stage(folder, listed)
    object_path(folder / ".git", next(file.sha256 for file in listed.files if file.lfs)).unlink()
    with pytest.raises(RefusedError, match=r"big \[v1\] tokens.json"):
        check_unchanged(folder, manifest.read(folder))


def test_a_folder_never_staged_and_another_manifest_are_usage_errors(
    release: Release, stage: Stage, listed: Callable[..., Manifest]
) -> None:
    folder, first = release()
    with pytest.raises(UsageError, match="is not staged for Git LFS"):
        check_unchanged(folder, manifest.read(folder))
    stage(folder, first)
    fresh = folder.parent / "fresh"
    fresh.write_bytes((folder / "model.safetensors").read_bytes() + b"more")
    fresh.replace(folder / "model.safetensors")
    with pytest.raises(UsageError, match=r"was staged from another manifest\.json"):
        check_unchanged(folder, listed(folder))
    (folder / ".git" / "hubkit-staged.json").write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        check_unchanged(folder, manifest.read(folder))
