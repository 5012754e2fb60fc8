"""What happens when the hub or the network fails: the error says why and what was reached, and
running again ends well."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hubkit_huggingface import HuggingFaceHub
from testing.hub_tests import NAME, Failing, is_published
from testing.releases import Notes, make_release

from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import EnvironmentFailure, PublishInput, RemoteError, SilentRun

from .conftest import TOKEN


@pytest.fixture
def job(tmp_path: Path, options: dict[str, Any]) -> PublishInput:
    return make_release(tmp_path / "InternVL2-Tiny", NAME, options, weights=2000)


class TestFailing(Failing):
    plugin = HuggingFaceHub()
    commit = r"/api/models/.*/commit/"
    wrong_token = "hf_wrong0123456789"


def test_large_files_that_arrived_are_not_sent_again(
    job: PublishInput, hub: Running, faults: Faults
) -> None:
    faults.add(Fault("status", path=TestFailing.commit, status=403))
    with pytest.raises(EnvironmentFailure, match="MY_TOKEN may not do this"):
        HuggingFaceHub().publish(job, SilentRun())
    faults.clear()
    HuggingFaceHub().publish(job, SilentRun())
    assert not [seen for seen in faults.requests if seen.method == "PUT"] and is_published(
        HuggingFaceHub(), job
    )


def test_a_token_that_may_only_read(
    job: PublishInput, hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", hub.add_token("reader", write=False))
    (problem,) = HuggingFaceHub().check("reader/InternVL2-Tiny", job.options)
    assert "may only read" in problem.message
    with pytest.raises(EnvironmentFailure, match="MY_TOKEN"):
        HuggingFaceHub().publish(job, SilentRun())


def test_gated(job: PublishInput, hub: Running, faults: Faults) -> None:
    faults.add(
        Fault("status", path="/preupload/", status=403, headers={"x-error-code": "GatedRepo"})
    )
    with pytest.raises(EnvironmentFailure, match="is gated"):
        HuggingFaceHub().publish(job, SilentRun())


def test_bytes_stored_wrongly_are_found(
    job: PublishInput, hub: Running, faults: Faults, tmp_path: Path
) -> None:
    """Only by a download: the listing repeats the digest of the pointer, and the client does not
    hash what it gets."""
    faults.add(Fault("wrong", method="PUT"))
    HuggingFaceHub().publish(job, SilentRun())
    HuggingFaceHub().download(NAME, job.tag, tmp_path / "fresh", job.options, SilentRun())
    wrong = [
        f.path
        for f in job.files
        if sha256((tmp_path / "fresh" / f.path).read_bytes()).hexdigest() != f.sha256
    ]
    assert is_published(HuggingFaceHub(), job) and len(wrong) == 1


def test_nobody_answers(job: PublishInput) -> None:
    options = {**job.options, "endpoint": "http://hub.invalid", "patience": 0.5}
    with pytest.raises(RemoteError, match=r"hub\.invalid.*nothing was changed before"):
        HuggingFaceHub().files(NAME, "", options, SilentRun())
    (problem,) = HuggingFaceHub().check(NAME, options)
    assert "hub.invalid" in problem.message


def test_a_hub_that_stops_in_the_middle_of_an_answer(
    job: PublishInput, hub: Running, faults: Faults
) -> None:
    job.options["timeout"] = 1.0  # type: ignore[index]
    faults.add(Fault("stall", path="/tree/", bytes=5, seconds=3))
    HuggingFaceHub().publish(job, SilentRun())
    assert is_published(HuggingFaceHub(), job)


def test_offline(
    job: PublishInput, hub: Running, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentFailure, match="HF_HUB_OFFLINE is set"):
        HuggingFaceHub().publish(job, SilentRun())
    assert faults.requests == []


@pytest.mark.parametrize(("xet", "asked"), [("auto", True), ("off", False)])
def test_a_hub_without_xet(
    job: PublishInput, hub: Running, faults: Faults, xet: str, asked: bool
) -> None:
    """The client itself fails at such a hub (see huggingface_hub#4507)."""
    job.options["xet"] = xet  # type: ignore[index]
    HuggingFaceHub().publish(job, SilentRun())
    assert bool(
        [seen for seen in faults.requests if "xet-write-token" in seen.path]
    ) is asked and is_published(HuggingFaceHub(), job)


def test_where_the_token_is_found(
    tmp_path: Path, hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my-token"
    file.write_text(TOKEN + "\n")
    plugin, endpoint = HuggingFaceHub(), {"endpoint": hub.url}
    assert plugin.login({**endpoint, "token_file": str(file)}).source == f"the file {file}"
    assert plugin.login(endpoint).state == "none"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    state = plugin.login(endpoint)
    assert (state.state, state.user, state.source) == (
        "ok",
        "rehearsal",
        "the environment variable HF_TOKEN",
    )
    with pytest.raises(EnvironmentFailure, match="not set"):
        plugin.publish(
            make_release(tmp_path / "X", NAME, {**endpoint, "token_env": "NOT_THERE"}), SilentRun()
        )


def test_only_the_endpoint_is_asked(
    job: PublishInput, hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import _detect_agent

    monkeypatch.setattr(_detect_agent, "_registry", None)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(job.folder.parent / "none.json"))
    notes = Notes()
    HuggingFaceHub().publish(job, notes)
    assert not [note for note in notes.notes if "trying again" in note]


@pytest.mark.parametrize("body", ["[]", "{}"])
def test_a_hub_that_does_not_find_what_it_lists(
    job: PublishInput, hub: Running, faults: Faults, body: str
) -> None:
    """The client then raises errors of its own, which are no answers."""
    receipt = HuggingFaceHub().publish(job, SilentRun())
    faults.add(Fault("status", path="/paths-info/", status=200, body=body, times=0))
    with pytest.raises(RemoteError, match="EntryNotFoundError"):
        HuggingFaceHub().withdraw(NAME, receipt, job.options, SilentRun())


def test_a_repository_that_is_not_whole_yet(
    job: PublishInput, hub: Running, faults: Faults, token: str
) -> None:
    """Seen without its first commit after the answer to its making was lost."""
    unborn = json.dumps({"id": NAME, "private": True, "sha": None, "siblings": []})
    faults.add(Fault("lost", path="/api/repos/create"))
    faults.add(Fault("status", path=f"/api/models/{NAME}$", skip=1, status=200, body=unborn))
    HuggingFaceHub().publish(job, SilentRun())
    assert is_published(HuggingFaceHub(), job)
