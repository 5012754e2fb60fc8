"""What a plain clone shows, pushes from a shallow repository, links that ran out, and whose
credentials are sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubkit_git_lfs import GitLfsHub

from hubkit.sdk import SilentRun

Job = Callable[..., Any]
Git = Callable[..., str]
OPTIONS = {"token_env": "HUB_TOKEN", "username": "ada", "patience": 20.0}


@pytest.fixture(autouse=True)
def quiet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.mark.parametrize("url", ["{}", "file://{}"])
def test_the_head_of_an_empty_repository_follows_the_branch(
    job: Job, git: Git, tmp_path: Path, notes: Any, url: str
) -> None:
    bare, fresh = tmp_path / "InternVL2-Tiny.git", tmp_path / "fresh"
    git(tmp_path, "init", "-q", "--bare", "-b", "master", str(bare))
    release, _ = job(url.format(bare))
    GitLfsHub().publish(release, notes)
    assert git(bare, "symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert [note for note in notes.notes if "HEAD named refs/heads/master" in note]
    git(tmp_path, "clone", "-q", str(bare), str(fresh))
    assert (fresh / "README.md").read_bytes() == (release.folder / "README.md").read_bytes()


def test_another_head_is_told_and_left(job: Job, git: Git, tmp_path: Path, notes: Any) -> None:
    bare, work = tmp_path / "InternVL2-Tiny.git", tmp_path / "work"
    git(tmp_path, "init", "-q", "--bare", "-b", "master", str(bare))
    git(tmp_path, "clone", "-q", str(bare), str(work))
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    git(work, *who, "commit", "-q", "--allow-empty", "-m", "first")
    git(work, "push", "-q", "origin", "master")
    release, _ = job(str(bare))
    GitLfsHub().publish(release, notes)
    assert git(bare, "symbolic-ref", "HEAD") == "refs/heads/master\n"
    (told,) = [note for note in notes.notes if "a plain clone shows master" in note]
    remedy = told.partition("`git ")[2].partition("`")[0]
    git(bare, *remedy.split())  # as the note says
    assert git(bare, "ls-tree", "--name-only", "HEAD").splitlines()[0] == ".gitattributes"


def test_a_server_whose_head_is_another_branch_is_told(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch, notes: Any
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("InternVL2-Tiny.git")
    git(bare, "symbolic-ref", "HEAD", "refs/heads/master")
    GitLfsHub().publish(job(f"{server.url}/InternVL2-Tiny.git", **OPTIONS)[0], notes)
    assert [note for note in notes.notes if "a plain clone shows nothing; make main" in note]


def test_a_server_that_takes_no_push_from_a_shallow_repository(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch, notes: Any
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare, hub = server.repository("InternVL2-Tiny.git"), GitLfsHub()
    target = f"{server.url}/InternVL2-Tiny.git"
    first = hub.publish(job(target, name="first", **OPTIONS)[0], notes)
    server.refuses_shallow = True
    options = {**OPTIONS}
    second = hub.publish(job(target, name="second", tag="v1.1.0", seed=1, **options)[0], notes)
    parents = git(bare, "rev-list", "--parents", "main").splitlines()
    assert parents == [f"{second.revision} {first.revision}", first.revision]
    assert [note for note in notes.notes if "fetching all commits, and pushing again" in note]
    gone = hub.withdraw(target, second, options, notes)
    assert gone.done[0] == "the tag v1.1.0 is deleted" and "as it was before" in gone.done[1]
    assert git(bare, "diff", "main", "v1.0.0") == ""


def test_a_link_that_ran_out_is_asked_for_again(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch, notes: Any
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    server.repository("InternVL2-Tiny.git")
    server.stale = 1
    release, _ = job(f"{server.url}/InternVL2-Tiny.git", **OPTIONS)
    GitLfsHub().publish(release, notes)
    assert server.objects.keys() == {file.sha256 for file in release.files if file.lfs}


def test_netrc_does_not_stand_in_for_the_token(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch, quiet_home: Path
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    server.repository("InternVL2-Tiny.git")
    netrc = quiet_home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login mallory password {server.token}\n")
    netrc.chmod(0o600)
    (quiet_home / ".gitconfig").write_text("[user]\n\tname = Ada\n")
    release, _ = job(f"{server.url}/InternVL2-Tiny.git", **OPTIONS)
    GitLfsHub().publish(release, SilentRun())
    assert server.users == {"", "ada"}
    known = GitLfsHub().login({})
    assert (known.state, known.source) == ("unknown", f"{netrc}, for the hosts in it")
