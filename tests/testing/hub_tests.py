"""What every bundled hub does with the rehearsal hub behind it. A hub's own tests inherit these
classes and say which plugin and which requests are meant."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import EnvironmentFailure, Hub, PublishInput, RemoteError, SilentRun
from hubkit.sdk.journal import read

from .releases import Notes, make_release

NAME = "food/InternVL2-Tiny"


def is_published(plugin: Hub, job: PublishInput, revision: str | None = None) -> bool:
    at = job.tag if revision is None else revision
    listed = plugin.files(NAME, at, job.options, SilentRun())
    return {file.path: file.sha256 for file in listed} == {
        file.path: file.sha256 for file in job.files
    }


class Publishing:
    plugin: ClassVar[Hub]
    told: ClassVar[dict[str, object]]
    """What the journal says of the repository and of the upload."""

    def test_a_release_with_one_small_change_sends_no_weights(
        self, tmp_path: Path, hub: Running, faults: Faults, options: dict[str, Any]
    ) -> None:
        first = make_release(tmp_path / "InternVL2-Tiny", NAME, options, files={"old.txt": b"old"})
        self.plugin.publish(first, SilentRun())
        (first.folder / "old.txt").unlink()
        second = make_release(first.folder, NAME, options, tag="v1.1.0")
        weights = list(first.folder.glob("*.safetensors"))
        before = [path.stat().st_atime_ns for path in weights]
        faults.clear()
        receipt = self.plugin.publish(second, SilentRun())
        assert not [seen for seen in faults.requests if seen.method == "PUT"]
        assert weights and [path.stat().st_atime_ns for path in weights] == before
        listed = self.plugin.files(NAME, receipt.revision, options, SilentRun())
        assert {file.path for file in listed} == {file.path for file in second.files}
        assert "old.txt" not in {file.path for file in listed}
        assert is_published(self.plugin, first) and is_published(self.plugin, second)

    def test_every_step_is_in_the_journal(
        self, tmp_path: Path, hub: Running, options: dict[str, Any], token: str
    ) -> None:
        journal = tmp_path / "journal" / "hub.jsonl"
        job = make_release(tmp_path / "InternVL2-Tiny", NAME, options, journal=journal)
        self.plugin.publish(job, SilentRun())
        lines = read(journal)
        steps = ["create repository", "upload", "commit", "tag"]
        assert [(line["step"], line["state"]) for line in lines] == [
            (step, state) for step in steps for state in ("begun", "done")
        ]
        assert self.told.items() <= {**lines[0], **lines[2]}.items()
        assert token not in journal.read_text()
        self.plugin.publish(job, SilentRun())
        assert read(journal) == lines

    @pytest.mark.parametrize("releases", [1, 2])
    def test_a_withdrawn_release_is_published_again(
        self, tmp_path: Path, hub: Running, options: dict[str, Any], releases: int
    ) -> None:
        job = make_release(tmp_path / "InternVL2-Tiny", NAME, options, files={"old.txt": b"old"})
        receipt = self.plugin.publish(job, SilentRun())
        if releases == 2:
            (job.folder / "old.txt").unlink()
            job = make_release(job.folder, NAME, options, tag="v1.1.0", seed=3)
            receipt = self.plugin.publish(job, SilentRun())
        for _ in range(2):
            assert self.plugin.withdraw(NAME, receipt, options, SilentRun()).done
            receipt = self.plugin.publish(job, SilentRun())
            assert is_published(self.plugin, job)
            assert is_published(self.plugin, job, "")
            assert self.plugin.publish(job, SilentRun()) == receipt

    def test_an_older_release_stays_below_a_later_one(
        self, tmp_path: Path, hub: Running, options: dict[str, Any]
    ) -> None:
        first = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
        receipt = self.plugin.publish(first, SilentRun())
        second = make_release(tmp_path / "again", NAME, options, tag="v1.1.0", seed=3)
        self.plugin.publish(second, SilentRun())
        assert self.plugin.publish(first, SilentRun()) == receipt
        assert is_published(self.plugin, first) and is_published(self.plugin, second, "")


class Failing:
    """The error says why and what was reached, and running again ends well."""

    plugin: ClassVar[Hub]
    commit: ClassVar[str]
    """A regular expression: the path of the request that makes the commit."""
    wrong_token: ClassVar[str]

    @pytest.fixture
    def job(self, tmp_path: Path, options: dict[str, Any]) -> PublishInput:
        return make_release(tmp_path / "InternVL2-Tiny", NAME, options, weights=2000)

    def commits(self, hub: Running, token: str) -> int:
        """On the main branch, the repository's first one included."""
        git = hub.hub.git(hub.hub.find(NAME, hub.hub.tokens.user(token)))
        return len(git.log(git.resolve("main"), 100, 0))

    @pytest.mark.parametrize("kind", ["lost", "truncate"])
    def test_a_commit_whose_answer_is_lost_is_not_made_twice(
        self, job: PublishInput, hub: Running, faults: Faults, token: str, kind: Any
    ) -> None:
        faults.add(Fault(kind, path=self.commit))
        receipt = self.plugin.publish(job, SilentRun())
        assert self.commits(hub, token) == 2 and is_published(self.plugin, job)
        assert self.plugin.publish(job, SilentRun()) == receipt

    @pytest.mark.parametrize("status", [500, 502, 504])
    def test_a_commit_that_failed_is_tried_again(
        self, job: PublishInput, hub: Running, faults: Faults, token: str, status: int
    ) -> None:
        faults.add(Fault("status", path=self.commit, status=status, times=2))
        self.plugin.publish(job, SilentRun())
        assert self.commits(hub, token) == 2 and is_published(self.plugin, job)

    def test_retry_after_is_kept(self, job: PublishInput, hub: Running, faults: Faults) -> None:
        faults.add(Fault("status", path=self.commit, status=429, headers={"retry-after": "2"}))
        notes, started = Notes(), time.monotonic()
        self.plugin.publish(job, notes)
        assert time.monotonic() - started >= 2 and is_published(self.plugin, job)
        assert any("answered 429: trying again in 2.0 s" in note for note in notes.notes)

    def test_a_wait_beyond_the_patience_ends_at_once(
        self, job: PublishInput, hub: Running, faults: Faults, token: str
    ) -> None:
        faults.add(Fault("status", path=self.commit, status=429, headers={"retry-after": "3600"}))
        started = time.monotonic()
        with pytest.raises(RemoteError) as caught:
            self.plugin.publish(job, SilentRun())
        assert time.monotonic() - started < 10
        assert "asks to wait 3600 s" in caught.value.message
        assert "done before: create repository, upload" in caught.value.message
        assert "continues where it stopped" in caught.value.remedy
        faults.clear()
        self.plugin.publish(job, SilentRun())
        assert self.commits(hub, token) == 2 and is_published(self.plugin, job)
        assert not [seen for seen in faults.requests if seen.method == "PUT"]

    def test_a_wrong_token(
        self, job: PublishInput, hub: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = self.wrong_token
        monkeypatch.setenv("MY_TOKEN", wrong)
        with pytest.raises(EnvironmentFailure) as caught:
            self.plugin.publish(job, SilentRun())
        assert "the environment variable MY_TOKEN" in caught.value.message
        assert wrong not in str(caught.value)
        (problem,) = self.plugin.check(NAME, job.options)
        assert "MY_TOKEN" in problem.message and wrong not in str(problem)
        assert self.plugin.login(job.options).state == "rejected"

    def test_a_token_revoked_between_upload_and_commit(
        self, job: PublishInput, hub: Running, faults: Faults, token: str
    ) -> None:
        faults.add(Fault("status", path=self.commit, status=401, times=0))
        with pytest.raises(EnvironmentFailure) as caught:
            self.plugin.publish(job, SilentRun())
        assert "MY_TOKEN" in caught.value.message
        assert "done before: create repository, upload" in caught.value.message
        assert token not in str(caught.value)
