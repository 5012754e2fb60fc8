"""Undoing a release on a git remote."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def test_login_names_the_source(monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary")
    state = GitLfsHub().login({"token_env": "MY_TOKEN"})
    assert (state.state, state.source) == (
        "unknown",
        "the environment variable MY_TOKEN",
    ) and "canary" not in str(state)
    monkeypatch.delenv("MY_TOKEN")
    assert GitLfsHub().login({"token_env": "MY_TOKEN"}).state == "none"
