"""Undoing a release on a git remote."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_git_lfs import GitLfsHub

from hubkit.sdk import SilentRun
from hubkit.sdk.journal import read


def test_withdrawing_goes_back_to_the_release_before(
    tmp_path: Path, job: Callable[..., Any], git: Callable[..., str]
) -> None:
    remote, plugin = tmp_path / "hub.git", GitLfsHub()
    first, _ = job(str(remote))
    plugin.publish(replace(first, journal=tmp_path / "journal.jsonl"), SilentRun())
    old = plugin.files(str(remote), "v1.0.0", {}, SilentRun())
    second, _ = job(str(remote), tag="v2.0.0", seed=1)
    receipt = plugin.publish(second, SilentRun())
    gone = plugin.withdraw(str(remote), receipt, {}, SilentRun())
    assert gone.done[0] == "the tag v2.0.0 is deleted" and gone.done[1].startswith(
        "main is as it was before the release"
    )
    assert receipt.revision in gone.remains[0]
    assert git(remote, "tag").split() == ["v1.0.0"]
    assert git(remote, "log", "--format=%s", "main").splitlines() == [
        "Withdraw v2.0.0",
        "InternVL2-Tiny v2.0.0",
        "InternVL2-Tiny v1.0.0",
    ]
    assert plugin.files(str(remote), "", {}, SilentRun()) == old
    assert plugin.withdraw(str(remote), receipt, {}, SilentRun()).done == ()
    steps = [(line["step"], line["state"]) for line in read(tmp_path / "journal.jsonl")]
    assert steps == [("upload", "begun"), ("upload", "done"), ("push", "begun"), ("push", "done")]


def test_withdrawing_the_only_release_says_what_stays(
    tmp_path: Path, job: Callable[..., Any]
) -> None:
    remote = tmp_path / "hub.git"
    only, _ = job(str(remote))
    receipt = GitLfsHub().publish(only, SilentRun())
    gone = GitLfsHub().withdraw(str(remote), receipt, {}, SilentRun())
    assert (
        gone.done == ("the tag v1.0.0 is deleted",) and "still holds the release" in gone.remains[0]
    )


@pytest.mark.parametrize("releases", [1, 2])
def test_a_withdrawn_release_is_published_again(
    tmp_path: Path, job: Callable[..., Any], releases: int
) -> None:
    remote, plugin = tmp_path / "hub.git", GitLfsHub()
    release, _ = job(str(remote))
    receipt = plugin.publish(release, SilentRun())
    if releases == 2:
        release, _ = job(str(remote), tag="v2.0.0", seed=1)
        receipt = plugin.publish(release, SilentRun())
    for _ in range(2):
        assert plugin.withdraw(str(remote), receipt, {}, SilentRun()).done
        receipt = plugin.publish(release, SilentRun())
        at_tag = plugin.files(str(remote), release.tag, {}, SilentRun())
        assert {file.path: file.sha256 for file in at_tag} == {
            file.path: file.sha256 for file in release.files
        }
        assert plugin.files(str(remote), "main", {}, SilentRun()) == at_tag
        assert plugin.publish(release, SilentRun()) == receipt


def test_a_branch_that_was_emptied_by_hand_shows_the_release_again(
    tmp_path: Path, job: Callable[..., Any], git: Callable[..., str]
) -> None:
    remote, plugin = tmp_path / "hub.git", GitLfsHub()
    release, _ = job(str(remote))
    plugin.publish(release, SilentRun())
    git(tmp_path, "clone", "-q", str(remote), "clone")
    clone = tmp_path / "clone"
    git(clone, "rm", "-rq", ".")
    git(clone, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all gone")
    git(clone, "push", "-q")
    receipt = plugin.publish(release, SilentRun())
    assert plugin.files(str(remote), "main", {}, SilentRun()) == plugin.files(
        str(remote), "v1.0.0", {}, SilentRun()
    )
    assert plugin.publish(release, SilentRun()) == receipt


def test_a_page_that_was_edited_stays_edited(
    tmp_path: Path, job: Callable[..., Any], git: Callable[..., str]
) -> None:
    remote, plugin = tmp_path / "hub.git", GitLfsHub()
    release, _ = job(str(remote))
    receipt = plugin.publish(release, SilentRun())
    git(tmp_path, "clone", "-q", str(remote), "clone")
    (tmp_path / "clone" / "README.md").write_text("# Edited on the page\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(tmp_path / "clone", *identity, "commit", "-qam", "Edit the card")
    git(tmp_path / "clone", "push", "-q")
    head = git(remote, "rev-parse", "main")
    assert plugin.publish(release, SilentRun()) == receipt
    assert git(remote, "rev-parse", "main") == head


def test_login_names_the_source(monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary")
    state = GitLfsHub().login({"token_env": "MY_TOKEN"})
    assert (state.state, state.source) == (
        "unknown",
        "the environment variable MY_TOKEN",
    ) and "canary" not in str(state)
    monkeypatch.delenv("MY_TOKEN")
    assert GitLfsHub().login({"token_env": "MY_TOKEN"}).state == "none"
