import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubkit_git_lfs import GitLfsHub
from hubkit_git_lfs._local import object_path

from hubkit.packaging import manifest
from hubkit.publishing.comparison import compare
from hubkit.sdk import (
    EnvironmentFailure,
    PublishReceipt,
    RefusedError,
    RemoteError,
    SilentRun,
    UsageError,
)

Job = Callable[..., Any]
Git = Callable[..., str]
RUN = SilentRun()


def digests(folder: Path) -> dict[str, str]:
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    ]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def inodes(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_published_and_read_back(job: Job, git: Git, tmp_path: Path, notes: Any) -> None:
    bare = tmp_path / "hub" / "org" / "InternVL2-Tiny.git"
    release, listed = job(f"file://{bare}")
    hub = GitLfsHub()
    assert hub.check(release.target, {}) == ()
    assert not bare.exists()
    receipt = hub.publish(release, notes)
    assert receipt == PublishReceipt(
        "git_lfs", f"file://{bare}", "InternVL2-Tiny", release.commit, "v1.0.0", f"file://{bare}"
    )
    assert git(bare, "rev-parse", "main", "v1.0.0^{commit}").split() == [release.commit] * 2
    assert git(bare, "cat-file", "-t", "v1.0.0") == "tag\n"
    large = sum(file.size for file in release.files if file.lfs)
    assert notes.steps[-1] == (large, large, "bytes")
    for revision in ("", "main", "v1.0.0", release.commit):
        assert (
            compare(listed.released(), hub.files(release.target, revision, {}, RUN)).problems == ()
        )
    hub.download(release.target, "v1.0.0", tmp_path / "download", {}, RUN)
    assert digests(tmp_path / "download") == {file.path: file.sha256 for file in release.files}
    assert git(tmp_path / "download", "status", "--porcelain") == ""
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_anybody_can_clone_it(job: Job, git: Git, tmp_path: Path, scheme: str) -> None:
    bare = tmp_path / "x.git"
    release, listed = job(str(bare))
    GitLfsHub().publish(release, RUN)
    git(tmp_path, "clone", "-q", f"{scheme}{bare}", "clone")
    git(tmp_path / "clone", "lfs", "pull")
    assert digests(tmp_path / "clone") == {file.path: file.sha256 for file in listed.released()}
    assert manifest.read(tmp_path / "clone") == listed
    assert git(tmp_path / "clone", "lfs", "fsck") == "Git LFS fsck OK\n"


def test_a_path_with_spaces_and_percent_signs(job: Job, tmp_path: Path) -> None:
    bare = tmp_path / "a b" / "100%20.git"
    release, listed = job(str(bare))
    hub = GitLfsHub()
    hub.publish(release, RUN)
    assert compare(listed.released(), hub.files(str(bare), "v1.0.0", {}, RUN)).ok
    hub.download(str(bare), "", tmp_path / "download", {}, RUN)
    assert digests(tmp_path / "download") == {file.path: file.sha256 for file in release.files}


def test_editing_the_release_afterwards_leaves_the_hub_alone(job: Job, tmp_path: Path) -> None:
    bare = tmp_path / "x.git"
    release, _ = job(str(bare))
    GitLfsHub().publish(release, RUN)
    for file in release.files:
        if file.lfs:
            stored, ours = object_path(bare, file.sha256), release.folder / file.path
            assert stored.stat().st_nlink == 1
            ours.chmod(0o644)
            with ours.open("r+b") as stream:
                stream.write(b"overwritten in place")
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == file.sha256


def test_publishing_again_sends_nothing(job: Job, tmp_path: Path, notes: Any) -> None:
    bare = tmp_path / "x.git"
    release, _ = job(str(bare))
    first = GitLfsHub().publish(release, RUN)
    before = inodes(bare)
    assert GitLfsHub().publish(release, notes) == first
    assert inodes(bare) == before
    assert notes.steps == []


def test_a_later_release_on_top_and_the_earlier_one_again(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare = tmp_path / "x.git"
    first, _ = job(str(bare))
    GitLfsHub().publish(first, RUN)
    second, listed = job(str(bare), tag="v2.0.0", seed=0)
    GitLfsHub().publish(second, RUN)
    assert git(bare, "rev-list", "main").split() == [second.commit, first.commit]
    assert compare(listed.released(), GitLfsHub().files(str(bare), "", {}, RUN)).ok
    before = inodes(bare)
    assert GitLfsHub().publish(first, RUN).revision == first.commit
    assert inodes(bare) == before


def test_another_release_is_refused(job: Job, git: Git, tmp_path: Path) -> None:
    bare = tmp_path / "x.git"
    first, _ = job(str(bare))
    GitLfsHub().publish(first, RUN)
    before = inodes(bare)
    same_tag, _ = job(str(bare), name="other", seed=1)
    with pytest.raises(RefusedError) as caught:
        GitLfsHub().publish(same_tag, RUN)
    assert f"another release under the tag v1.0.0 (commit {first.commit}" in caught.value.message
    assert "another tag" in caught.value.remedy
    assert inodes(bare) == before


def foreign(git: Git, bare: Path, tmp_path: Path, **files: str) -> str:
    """A commit of somebody else on main."""
    work = tmp_path / "foreign"
    git(tmp_path, "clone", "-q", str(bare), str(work))
    for name, text in files.items():
        (work / name.replace("_", ".")).write_text(text)
    git(work, "add", ".")
    git(work, "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "-q", "-m", "mine")
    git(work, "push", "-q", "origin", "HEAD:main")
    return git(work, "rev-parse", "HEAD").strip()


def test_a_release_from_another_folder_goes_on_top(
    job: Job, git: Git, tmp_path: Path, notes: Any
) -> None:
    bare, hub = tmp_path / "x.git", GitLfsHub()
    first, _ = job(str(bare))
    hub.publish(first, RUN)
    second, listed = job(str(bare), name="again", tag="v1.1.0", seed=2)
    receipt = hub.publish(second, RUN)
    assert (
        git(bare, "rev-list", "main").split() == [receipt.revision, first.commit]
        and receipt.revision != second.commit
    )
    assert git(bare, "rev-parse", "v1.1.0^{commit}", "v1.0.0^{commit}").split() == [
        receipt.revision,
        first.commit,
    ]
    assert git(bare, "log", "-1", "--format=%an %ae %ad %s", "main") == git(
        second.folder, "log", "-1", "--format=%an %ae %ad %s", second.commit
    )
    assert (
        git(bare, "cat-file", "tag", "v1.1.0").splitlines()[1:]
        == git(second.folder, "cat-file", "tag", "v1.1.0").splitlines()[1:]
    )
    for revision in ("", "v1.1.0", receipt.revision):
        assert compare(listed.released(), hub.files(str(bare), revision, {}, RUN)).ok
    before = inodes(bare)
    assert (
        hub.publish(second, notes) == receipt and hub.publish(first, RUN).revision == first.commit
    )
    assert inodes(bare) == before and notes.steps == []
    gone = hub.withdraw(str(bare), receipt, {}, RUN)
    assert len(gone.done) == 2 and git(bare, "rev-parse", "main^{tree}") == git(
        bare, "rev-parse", "v1.0.0^{tree}"
    )


def test_a_branch_pushed_without_its_tag_gets_the_tag_only(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare, hub = tmp_path / "x.git", GitLfsHub()
    hub.publish(job(str(bare))[0], RUN)
    second, _ = job(str(bare), name="again", tag="v1.1.0", seed=2)
    receipt = hub.publish(second, RUN)
    git(bare, "tag", "-d", "v1.1.0")
    assert hub.publish(second, RUN) == receipt
    assert git(bare, "rev-parse", "main", "v1.1.0^{commit}").split() == [receipt.revision] * 2


def test_history_of_somebody_else_is_refused_unless_told(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare, hub = tmp_path / "x.git", GitLfsHub()
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    head = foreign(git, bare, tmp_path, notes_txt="mine", manifest_json='{"name": "a web app"}')
    release, listed = job(str(bare))
    before = inodes(bare)
    with pytest.raises(RefusedError) as caught:
        hub.publish(release, RUN)
    assert (
        f"its head is {head}" in caught.value.message
        and "manifest.json, notes.txt" in caught.value.message
    )
    assert "replace: true" in caught.value.remedy and inodes(bare) == before
    told, _ = job(str(bare), replace=True)
    receipt = hub.publish(told, RUN)
    assert git(bare, "rev-list", "main").split() == [receipt.revision, head]
    assert compare(listed.released(), hub.files(str(bare), "v1.0.0", {}, RUN)).ok


def test_what_a_forge_puts_into_a_new_repository_is_built_on(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare = tmp_path / "x.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    head = foreign(git, bare, tmp_path, README_md="# new", LICENSE="MIT")
    receipt = GitLfsHub().publish(job(str(bare))[0], RUN)
    assert git(bare, "rev-list", "main").split() == [receipt.revision, head]


def test_another_branch_is_free(job: Job, git: Git, tmp_path: Path) -> None:
    bare = tmp_path / "x.git"
    first, _ = job(str(bare))
    GitLfsHub().publish(first, RUN)
    other, _ = job(str(bare), name="other", tag="v2.0.0", seed=1, branch="experiment")
    GitLfsHub().publish(other, RUN)
    assert git(bare, "rev-parse", "main", "experiment").split() == [first.commit, other.commit]


def test_a_push_that_fails_after_the_objects_is_finished_by_the_next(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare = tmp_path / "x.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'closed for maintenance' >&2\nexit 1\n")
    hook.chmod(0o755)
    release, listed = job(str(bare))
    with pytest.raises(RemoteError) as caught:
        GitLfsHub().publish(release, RUN)
    assert "closed for maintenance" in caught.value.message
    assert "ask its owner for permission" in caught.value.remedy
    assert git(bare, "for-each-ref") == ""
    stored = [object_path(bare, file.sha256) for file in release.files if file.lfs]
    assert [path.stat().st_nlink for path in stored] == [1, 1]
    hook.unlink()
    sent = [path.stat().st_ino for path in stored]
    GitLfsHub().publish(release, RUN)
    assert [path.stat().st_ino for path in stored] == sent
    assert compare(listed.released(), GitLfsHub().files(str(bare), "v1.0.0", {}, RUN)).ok


def test_objects_left_linked_by_a_killed_publish_are_separated_by_the_next(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare = tmp_path / "x.git"
    release, _ = job(str(bare))
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(release.folder, "lfs", "push", f"file://{bare}", release.commit)
    stored = [object_path(bare, file.sha256) for file in release.files if file.lfs]
    assert all(path.stat().st_nlink > 1 for path in stored)
    GitLfsHub().publish(release, RUN)
    assert [path.stat().st_nlink for path in stored] == [1, 1]


def test_bytes_edited_after_staging_never_stay_at_the_hub(
    job: Job, git: Git, tmp_path: Path
) -> None:
    bare = tmp_path / "x.git"
    release, _ = job(str(bare))
    path = release.folder / "model.safetensors"
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"!")
    with pytest.raises(RefusedError, match="edited in place after staging"):
        GitLfsHub().publish(release, RUN)
    edited = next(file.sha256 for file in release.files if file.path == path.name)
    assert not object_path(bare, edited).exists()
    assert git(bare, "for-each-ref") == ""


def test_a_lost_or_damaged_object_is_seen_and_sent_again(
    job: Job, tmp_path: Path, notes: Any
) -> None:
    bare = tmp_path / "x.git"
    release, listed = job(str(bare))
    hub = GitLfsHub()
    hub.publish(release, RUN)
    first, second = (object_path(bare, file.sha256) for file in release.files if file.lfs)
    first.unlink()
    second.chmod(0o644)
    second.write_bytes(b"short")
    found = compare(listed.released(), hub.files(str(bare), "v1.0.0", {}, notes))
    assert found.missing == tuple(file.path for file in release.files if file.lfs)
    assert len(notes.notes) == 2
    hub.publish(release, RUN)
    assert compare(listed.released(), hub.files(str(bare), "v1.0.0", {}, RUN)).ok


def test_the_users_configuration_and_hooks_do_not_interfere(
    job: Job, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, listed = job(str(tmp_path / "x.git"))
    hooks = tmp_path / "home" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-push", "post-checkout", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\necho ran > {tmp_path / 'hook-ran'}\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hooks}\nautocrlf = true\n[push]\ngpgSign = "
        f"true\n[init]\ntemplateDir = {hooks.parent}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_LFS_SKIP_PUSH", "1")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere"))
    hub = GitLfsHub()
    hub.publish(release, RUN)
    assert compare(listed.released(), hub.files(release.target, "", {}, RUN)).ok
    hub.download(release.target, "", tmp_path / "download", {}, RUN)
    assert digests(tmp_path / "download") == {file.path: file.sha256 for file in release.files}
    assert not (tmp_path / "hook-ran").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_where_no_repository_can_be(job: Job, git: Git, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "something").write_text("x")
    git(tmp_path, "init", "-q", "tree")
    cases = {
        "file/x.git": f"{tmp_path / 'file'} is a file, not a folder",
        "file": "a file, not a bare repository",
        "folder": "neither empty nor a bare git repository",
        "tree": "neither empty nor a bare git repository",
    }
    for path, message in cases.items():
        release, _ = job(str(tmp_path / path))
        problems = GitLfsHub().check(release.target, {})
        assert [problem.message for problem in problems] == [message]
        with pytest.raises(UsageError) as caught:
            GitLfsHub().publish(release, RUN)
        assert message in caught.value.message
        assert caught.value.remedy == problems[0].remedy
    assert (tmp_path / "file").read_text() == "x"


def test_an_empty_folder_becomes_the_repository(job: Job, git: Git, tmp_path: Path) -> None:
    (tmp_path / "x.git").mkdir()
    release, _ = job(str(tmp_path / "x.git"))
    assert GitLfsHub().check(release.target, {}) == ()
    GitLfsHub().publish(release, RUN)
    assert git(tmp_path / "x.git", "rev-parse", "HEAD").strip() == release.commit


def test_a_full_disk_at_the_remote(job: Job, git: Git, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        release, _ = job(str(small / "x.git"))
        with pytest.raises(EnvironmentFailure) as caught:
            GitLfsHub().publish(release, RUN)
        assert "no space left" in caught.value.message.lower()
        assert "free some space" in caught.value.remedy
        assert git(small / "x.git", "for-each-ref") == ""
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_unknown_revision_names_those_there(job: Job, tmp_path: Path) -> None:
    release, _ = job(str(tmp_path / "x.git"))
    GitLfsHub().publish(release, RUN)
    with pytest.raises(UsageError) as caught:
        GitLfsHub().files(release.target, "v9", {}, RUN)
    assert "has no revision 'v9'" in caught.value.message
    assert "main, v1.0.0" in caught.value.remedy
    with pytest.raises(RemoteError):
        GitLfsHub().files(str(tmp_path / "nowhere.git"), "", {}, RUN)
    with pytest.raises(RemoteError):
        GitLfsHub().files(release.target, "0" * 40, {}, RUN)


def test_a_failed_download_leaves_nothing(job: Job, tmp_path: Path) -> None:
    release, _ = job(str(tmp_path / "x.git"))
    GitLfsHub().publish(release, RUN)
    shutil.rmtree(tmp_path / "x.git" / "lfs" / "objects")
    with pytest.raises(RemoteError):
        GitLfsHub().download(release.target, "", tmp_path / "download", {}, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release", "x.git"]
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists"):
        GitLfsHub().download(release.target, "", tmp_path / "there", {}, RUN)


def test_without_git_lfs(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, _ = job(str(tmp_path / "x.git"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(EnvironmentFailure, match="Git LFS is not installed"):
        GitLfsHub().publish(release, RUN)
    problems = GitLfsHub().check(release.target, {})
    assert "apt-get install git-lfs" in problems[0].remedy
    assert not (tmp_path / "x.git").exists()


def test_unknown_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        GitLfsHub().check(str(tmp_path / "x.git"), {"brunch": "main", "patience": "long"})
    assert "unknown key 'brunch'" in caught.value.message
    assert "patience must be a number" in caught.value.message
    with pytest.raises(UsageError, match="not positive"):
        GitLfsHub().check(str(tmp_path / "x.git"), {"patience": -1})
