"""What happens when the hub or the network fails: the error says why and what was reached, and
running again ends well."""

import time
from pathlib import Path
from typing import Any

import pytest
from hubkit_modelscope import ModelScopeHub
from testing.releases import Notes, make_release

from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import EnvironmentFailure, PublishInput, RemoteError, SilentRun

from .conftest import TOKEN

NAME = "food/InternVL2-Tiny"
COMMIT = r"/commit/"


@pytest.fixture
def job(tmp_path: Path, options: dict[str, Any]) -> PublishInput:
    return make_release(tmp_path / "InternVL2-Tiny", NAME, options, weights=2000)


def commits(hub: Running) -> int:
    git = hub.hub.git(hub.hub.find(NAME, hub.hub.tokens.user(TOKEN)))
    return len(git.log(git.resolve("main"), 100, 0))


def is_published(job: PublishInput) -> bool:
    listed = ModelScopeHub().files(NAME, job.tag, job.options, SilentRun())
    return {file.path: file.sha256 for file in listed} == {
        file.path: file.sha256 for file in job.files
    }


@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_commit_whose_answer_is_lost_is_not_made_twice(
    job: PublishInput, hub: Running, faults: Faults, kind: Any
) -> None:
    faults.add(Fault(kind, path=COMMIT))
    receipt = ModelScopeHub().publish(job, SilentRun())
    assert (
        commits(hub) == 2
        and is_published(job)
        and ModelScopeHub().publish(job, SilentRun()) == receipt
    )


@pytest.mark.parametrize("status", [500, 504])
def test_a_commit_that_failed_is_tried_again(
    job: PublishInput, hub: Running, faults: Faults, status: int
) -> None:
    faults.add(Fault("status", path=COMMIT, status=status, times=2))
    ModelScopeHub().publish(job, SilentRun())
    assert commits(hub) == 2 and is_published(job)


def test_retry_after_is_kept(job: PublishInput, hub: Running, faults: Faults) -> None:
    faults.add(Fault("status", path=COMMIT, status=429, headers={"retry-after": "2"}))
    notes, started = Notes(), time.monotonic()
    ModelScopeHub().publish(job, notes)
    assert time.monotonic() - started >= 2 and is_published(job)
    assert any("answered 429: trying again in 2.0 s" in note for note in notes.notes)


def test_a_wait_beyond_the_patience_ends_at_once(
    job: PublishInput, hub: Running, faults: Faults
) -> None:
    faults.add(Fault("status", path=COMMIT, status=429, headers={"retry-after": "3600"}))
    started = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        ModelScopeHub().publish(job, SilentRun())
    assert time.monotonic() - started < 10
    assert (
        "asks to wait 3600 s" in caught.value.message
        and "done before: create repository, upload" in caught.value.message
    )
    faults.clear()
    ModelScopeHub().publish(job, SilentRun())
    assert commits(hub) == 2 and is_published(job)
    assert not [seen for seen in faults.requests if seen.method == "PUT"]


def test_a_wrong_token(job: PublishInput, hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "ms-wrong012-3456"
    monkeypatch.setenv("MY_TOKEN", wrong)
    with pytest.raises(EnvironmentFailure) as caught:
        ModelScopeHub().publish(job, SilentRun())
    assert "the environment variable MY_TOKEN" in caught.value.message and wrong not in str(
        caught.value
    )
    (problem,) = ModelScopeHub().check(NAME, job.options)
    assert "MY_TOKEN" in problem.message and wrong not in str(problem)
    assert ModelScopeHub().login(job.options).state == "rejected"


def test_a_token_revoked_between_upload_and_commit(
    job: PublishInput, hub: Running, faults: Faults
) -> None:
    faults.add(Fault("status", path=COMMIT, status=401, times=0))
    with pytest.raises(EnvironmentFailure) as caught:
        ModelScopeHub().publish(job, SilentRun())
    assert (
        "MY_TOKEN" in caught.value.message
        and "done before: create repository, upload" in caught.value.message
    )
    assert TOKEN not in str(caught.value)


def test_nobody_answers(job: PublishInput) -> None:
    options = {**job.options, "endpoint": "http://hub.invalid", "patience": 0.5}
    with pytest.raises(RemoteError, match=r"hub\.invalid"):
        ModelScopeHub().publish(job.__class__(**{**job.__dict__, "options": options}), SilentRun())


def test_the_token_does_not_go_to_the_host_of_an_upload_address(
    job: PublishInput, hub: Running, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client by itself sends it wherever the address points."""
    from modelscope_hub._legacy_api import LegacyClient

    from hubkit.rehearsal import serve

    elsewhere, asked = Faults(), LegacyClient.validate_blobs
    with serve(tmp_path / "elsewhere", token="ms-other", faults=elsewhere) as other:

        def pointing(self: Any, *arguments: Any) -> Any:
            return {
                oid: address and address.replace(hub.url, other.url)
                for oid, address in asked(self, *arguments).items()
            }

        monkeypatch.setattr(LegacyClient, "validate_blobs", pointing)
        with pytest.raises((RemoteError, EnvironmentFailure)):
            ModelScopeHub().publish(job, SilentRun())
    assert elsewhere.requests and not [seen for seen in elsewhere.requests if seen.authorized]


def test_where_the_token_is_found(
    tmp_path: Path, hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my-token"
    file.write_text(TOKEN + "\n")
    plugin, endpoint = ModelScopeHub(), {"endpoint": hub.url}
    assert plugin.login({**endpoint, "token_file": str(file)}).source == f"the file {file}"
    assert plugin.login(endpoint).state == "none"
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", TOKEN)
    state = plugin.login(endpoint)
    assert (state.state, state.user, state.source) == (
        "ok",
        "rehearsal",
        "the environment variable MODELSCOPE_API_TOKEN",
    )


def test_the_clients_own_login_is_used(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    from modelscope_hub.config import HubConfig

    HubConfig(endpoint=hub.url, token="").save_token(TOKEN)
    state = ModelScopeHub().login({"endpoint": hub.url})
    assert state.state == "ok" and state.source.startswith("the client's own login (")
