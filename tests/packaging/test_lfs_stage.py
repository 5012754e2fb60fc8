import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hubkit.packaging import manifest
from hubkit.packaging.lfs import StagedCommit, read_staged
from hubkit.packaging.manifest import Manifest
from hubkit.packaging.objects import object_path
from hubkit.sdk import EnvironmentFailure, RefusedError, UsageError

Release = Callable[..., tuple[Path, Manifest]]
Stage = Callable[..., StagedCommit]
Git = Callable[..., str]

NO_FILTER = (
    "-c",
    "filter.lfs.clean=false",
    "-c",
    "filter.lfs.process=",
    "-c",
    "filter.lfs.required=true",
)
"""With these, git fails as soon as it wants to hash a large file."""


def test_the_commit_holds_the_release_and_git_finds_nothing_to_do(
    release: Release, stage: Stage, git: Git
) -> None:
    folder, listed = release()
    staged = stage(folder, listed)
    assert (
        git(folder, "rev-parse", "HEAD", "main", "v1.0.0^{commit}").split() == [staged.commit] * 3
    )
    assert set(git(folder, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")) - {""} == {
        f.path for f in listed.released()
    }
    assert git(folder, *NO_FILTER, "status", "--porcelain") == ""
    assert git(folder, "lfs", "fsck") == "Git LFS fsck OK\n"
    assert git(folder, "fsck", "--strict") == ""
    assert read_staged(folder) == staged


def test_pointers_are_those_of_git_lfs(release: Release, stage: Stage, git: Git) -> None:
    folder, listed = release()
    stage(folder, listed)
    for file in listed.files:
        if file.lfs:
            with (folder / file.path).open("rb") as stream:
                cleaned = subprocess.run(
                    ["git-lfs", "clean"], cwd=folder, stdin=stream, capture_output=True, check=True
                ).stdout
            assert git(folder, "cat-file", "-p", f"HEAD:{file.path}").encode() == cleaned
    assert sorted(git(folder, "lfs", "ls-files", "--name-only").splitlines()) == [
        "big [v1] tokens.json",
        "model.safetensors",
    ]


def test_large_files_take_no_further_disk(release: Release, stage: Stage) -> None:
    folder, listed = release()
    staged = stage(folder, listed)
    large = [file for file in listed.files if file.lfs]
    assert (staged.lfs_objects, staged.bytes_linked) == (2, sum(file.size for file in large))
    for file in large:
        stored = object_path(folder / ".git", file.sha256)
        assert stored.samefile(folder / file.path)
        assert stored.stat().st_nlink == 2
        assert stored.stat().st_mode & 0o777 == 0o444
    small = sum(
        path.stat().st_size
        for path in (folder / ".git").rglob("*")
        if path.is_file() and path.stat().st_nlink == 1
    )
    assert small < 20_000


def test_the_large_files_are_not_read(release: Release, stage: Stage, git: Git) -> None:
    """A digest that is not that of the bytes goes unnoticed, so nothing has looked at them."""
    folder, _ = release()
    known = {"model.safetensors": "ab" * 32}
    listed = manifest.build(
        folder, name="InternVL2-Tiny", tag="v1.0.0", created="2026-01-02", digests=known
    )
    listed.write(folder)
    stage(folder, listed)
    assert f"oid sha256:{'ab' * 32}" in git(folder, "cat-file", "-p", "HEAD:model.safetensors")


def test_the_commit_id_depends_on_nothing_but_the_release(
    release: Release, stage: Stage, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stage(*release("one"))
    folder, listed = release("two")
    home = tmp_path / "home"
    (home / "template" / "hooks").mkdir(parents=True)
    hook = home / "template" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\nname = Somebody Else\nemail = else@example.org\n[core]\nautocrlf = "
        "true\neol = crlf\n"
        f"[init]\ntemplateDir = {home / 'template'}\ndefaultBranch = "
        "trunk\n[i18n]\ncommitEncoding = latin1\n"
        "[commit]\ngpgSign = true\n[tag]\ngpgSign = true\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2000-01-01T00:00:00Z")
    second = stage(folder, listed)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.delenv(name)
    assert second == first
    assert git(folder, "rev-parse", "v1.0.0") == git(tmp_path / "one", "rev-parse", "v1.0.0")
    assert not (tmp_path / "elsewhere").exists()
    shown = git(folder, "log", "--format=%an <%ae> %aI %cn %cI %B", "--date=iso")
    moment = "2026-01-02T03:04:05+00:00"
    assert shown.strip() == (
        f"Ada Lovelace <ada@example.org> {moment} Ada Lovelace {moment} InternVL2-Tiny "
        "v1.0.0\n\nA body."
    )


def test_staging_again_changes_nothing(release: Release, stage: Stage, git: Git) -> None:
    folder, listed = release()
    first = stage(folder, listed)
    assert stage(folder, listed, message="other words", date="2027-01-01") == first
    assert git(folder, "rev-list", "--count", "HEAD") == "1\n"
    assert git(folder, *NO_FILTER, "status", "--porcelain") == ""


def test_a_new_release_goes_on_top(
    release: Release, stage: Stage, git: Git, listed: Callable[..., Manifest]
) -> None:
    folder, first_list = release()
    first = stage(folder, first_list)
    (folder / "README.md").write_text("# A better model\n")
    second = stage(folder, listed(folder, tag="v2.0.0"))
    assert git(folder, "rev-list", "HEAD").split() == [second.commit, first.commit]
    assert git(folder, "rev-parse", "v1.0.0^{commit}").strip() == first.commit
    assert git(folder, *NO_FILTER, "status", "--porcelain") == ""
    assert git(folder, "lfs", "fsck") == "Git LFS fsck OK\n"


def test_a_tag_never_moves(
    release: Release, stage: Stage, git: Git, listed: Callable[..., Manifest]
) -> None:
    folder, first_list = release()
    first = stage(folder, first_list)
    (folder / "README.md").write_text("# Changed\n")
    with pytest.raises(RefusedError) as caught:
        stage(folder, listed(folder))
    assert f"tag v1.0.0 names commit {first.commit} already" in caught.value.message
    assert "git tag -d v1.0.0" in caught.value.remedy
    assert git(folder, "rev-parse", "main", "v1.0.0^{commit}").split() == [first.commit] * 2


def test_a_folder_that_differs_from_its_manifest_is_refused(release: Release, stage: Stage) -> None:
    folder, listed = release()
    (folder / "stray.txt").write_text("x")
    (folder / "README.md").write_text("longer than before, by far")
    (folder / "code dir" / "modeling.py").unlink()
    with pytest.raises(RefusedError) as caught:
        stage(folder, listed)
    for part in (
        "stray.txt is not in the manifest",
        "code dir/modeling.py is missing",
        "README.md has 26 bytes, not 10",
    ):
        assert part in caught.value.message
    assert not (folder / ".git").exists()


def test_a_small_file_of_the_same_size_is_compared_too(
    release: Release, stage: Stage, git: Git
) -> None:
    folder, listed = release()
    (folder / "README.md").write_text("# B model\n")
    with pytest.raises(RefusedError, match=r"README\.md has changed since the manifest was made"):
        stage(folder, listed)
    assert git(folder, "for-each-ref") == ""


def test_gitattributes_must_agree(release: Release, stage: Stage) -> None:
    folder, _ = release()
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n*.py filter=lfs\n")
    listed = manifest.build(
        folder, name="InternVL2-Tiny", tag="v1.0.0", created="2026-01-02", digests={}
    )
    listed.write(folder)
    with pytest.raises(
        RefusedError, match=r"disagree on Git LFS for big \[v1\] tokens.json, code dir/modeling.py"
    ):
        stage(folder, listed)


@pytest.mark.parametrize(
    ("keywords", "part"),
    [
        ({"date": "next week"}, "'next week' is not an ISO date"),
        ({"tag": "a..b"}, "'a..b' cannot be the name of a git tag"),
        ({"branch": "-x y"}, "cannot be the name of a git head"),
        ({"author_name": "A <b>"}, "cannot be a commit's author"),
    ],
)
def test_bad_arguments(release: Release, stage: Stage, keywords: dict[str, str], part: str) -> None:
    folder, listed = release()
    with pytest.raises(UsageError) as caught:
        stage(folder, listed, **keywords)
    assert part in caught.value.message


def test_without_git_lfs_nothing_is_made(
    release: Release, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, listed = release()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(EnvironmentFailure) as caught:
        stage(folder, listed)
    assert "Git LFS is not installed" in caught.value.message
    assert "apt-get install git-lfs" in caught.value.remedy
    assert "brew install git-lfs" in caught.value.remedy
    assert not (folder / ".git").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="git is not on PATH"):
        stage(folder, listed)


def test_a_killed_staging_is_finished_by_the_next(release: Release, stage: Stage, git: Git) -> None:
    """Everything that a kill between two steps can leave: a partial object, an index of ours, no
    refs, no record."""
    folder, listed = release()
    expected = stage(folder, listed)
    large = next(file for file in listed.files if file.path == "model.safetensors")
    stored = object_path(folder / ".git", large.sha256)
    os.link(stored, stored.with_name(f"{stored.name}.partial"))
    stored.unlink()
    for name in ("index.hubkit", "index.hubkit.lock"):
        (folder / ".git" / name).write_text("half")
    for path in (folder / ".git" / "index", folder / ".git" / "hubkit-staged.json"):
        path.unlink()
    git(folder, "update-ref", "-d", "refs/heads/main")
    git(folder, "update-ref", "-d", "refs/tags/v1.0.0")
    assert stage(folder, listed) == expected
    assert git(folder, *NO_FILTER, "status", "--porcelain") == ""
    assert not list((folder / ".git").rglob("*.partial"))


def elsewhere(folder: Path) -> Path:
    """A folder on another file system, or the test is skipped."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == folder.stat().st_dev:
        pytest.skip("no second file system here")
    return memory


def test_across_file_systems_it_copies(release: Release, stage: Stage, git: Git) -> None:
    folder, listed = release()
    store = elsewhere(folder) / f"hubkit-test-{os.getpid()}"
    try:
        store.mkdir()
        (folder / ".git").mkdir()
        (folder / ".git" / "lfs").symlink_to(store)
        staged = stage(folder, listed)
        assert (staged.lfs_objects, staged.bytes_linked) == (2, 0)
        assert git(folder, "lfs", "fsck") == "Git LFS fsck OK\n"
        assert (folder / "model.safetensors").stat().st_nlink == 1
    finally:
        shutil.rmtree(store)


def test_no_room_for_a_copy(release: Release, stage: Stage, tmp_path: Path) -> None:
    folder, listed = release()
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        (folder / ".git").mkdir()
        (folder / ".git" / "lfs").symlink_to(small)
        with pytest.raises(EnvironmentFailure) as caught:
            stage(folder, listed)
        assert "not enough disk for big [v1] tokens.json" in caught.value.message
        assert "11.5 MB needed" in caught.value.message
        assert not [path for path in small.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(small)], check=True)
