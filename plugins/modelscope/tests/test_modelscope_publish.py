"""The real client against the rehearsal hub: publish, read back, publish again, re-release,
withdraw."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hubkit_modelscope import ModelScopeHub
from modelscope_hub import HubApi
from modelscope_hub.config import HubConfig
from testing.hub_tests import NAME, Publishing
from testing.releases import Notes, make_release

from hubkit.rehearsal import Faults, Running
from hubkit.sdk import RefusedError, ReleaseFile, SilentRun, UsageError
from hubkit.sdk.testing import check_hub

from .conftest import TOKEN


class TestPublishing(Publishing):
    plugin = ModelScopeHub()
    told: ClassVar = {"visibility": "private", "license": "mit"}


def client(hub: Running) -> HubApi:
    return HubApi(HubConfig(endpoint=hub.url, token=TOKEN))


def test_its_whole_life(tmp_path: Path, hub: Running, options: dict[str, Any]) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    other = make_release(tmp_path / "other", NAME, options, seed=5)
    receipt = check_hub(
        ModelScopeHub(), job, tmp_path / "out", other=other, bad_target="no-organisation"
    )
    info = client(hub).legacy.get_repo_info(NAME, "model")
    assert (info["Visibility"], info["License"]) == (1, "mit")
    assert receipt.url == f"{hub.url}/models/{NAME}"
    branches, tags = client(hub).legacy.list_revisions_detail(NAME, "model")
    assert [one["Revision"] for one in branches] == ["master"] and [
        one["Revision"] for one in tags
    ] == ["v1.0.0"]
    assert receipt.revision != "v1.0.0" and len(receipt.revision) == 40
    assert not list(job.folder.rglob(".ms_upload_cache"))


def test_only_what_the_manifest_lists_is_sent_and_nothing_is_hashed_again(
    tmp_path: Path, hub: Running, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelscope_hub import _upload

    monkeypatch.setattr(
        _upload,
        "compute_hash",
        lambda *_: pytest.fail("a file was hashed although its digest is known"),
    )
    job, notes = make_release(tmp_path / "InternVL2-Tiny", NAME, options), Notes()
    (job.folder / "secret.env").write_text("KEY=1")
    ModelScopeHub().publish(job, notes)
    listed = ModelScopeHub().files(NAME, job.tag, options, SilentRun())
    assert {file.path: (file.size, file.sha256) for file in listed} == {
        f.path: (f.size, f.sha256) for f in job.files
    }
    assert notes.steps[-1][0] == notes.steps[-1][1] > 600_000


def test_visibility_and_licence_as_told(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    options |= {"private": False, "license": "apache-2.0"}
    ModelScopeHub().publish(make_release(tmp_path / "InternVL2-Tiny", NAME, options), SilentRun())
    info = client(hub).legacy.get_repo_info(NAME, "model")
    assert (info["Visibility"], info["License"]) == (5, "apache-2.0")


def test_a_repository_of_somebody_else_is_left_alone(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    api = client(hub)
    api.create_repo(NAME, "model", visibility="private")
    action = {
        "action": "create",
        "path": "mine.txt",
        "type": "normal",
        "size": 4,
        "sha256": "",
        "encoding": "base64",
    }
    api.legacy.create_commit(NAME, "model", [{**action, "content": "bWluZQ=="}], "mine")
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    with pytest.raises(RefusedError, match=r"mine\.txt"):
        ModelScopeHub().publish(job, SilentRun())
    ModelScopeHub().publish(replace(job, options={**options, "replace": True}), SilentRun())
    assert "mine.txt" not in {
        file.path for file in ModelScopeHub().files(NAME, "", options, SilentRun())
    }


def test_a_release_without_configuration_is_refused_before_any_request(
    tmp_path: Path, faults: Faults, options: dict[str, Any]
) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    bare: tuple[ReleaseFile, ...] = tuple(
        file for file in job.files if file.path != "configuration.json"
    )
    with pytest.raises(UsageError, match=r"configuration\.json"):
        ModelScopeHub().publish(replace(job, files=bare), SilentRun())
    assert faults.requests == []


def test_a_branch_that_is_not_there(tmp_path: Path, hub: Running, options: dict[str, Any]) -> None:
    options |= {"branch": "next"}
    with pytest.raises(UsageError, match="no branch next"):
        ModelScopeHub().publish(
            make_release(tmp_path / "InternVL2-Tiny", NAME, options), SilentRun()
        )


def test_withdrawing_says_what_it_cannot_undo(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    options |= {"private": False}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    receipt = ModelScopeHub().publish(job, SilentRun())
    gone = ModelScopeHub().withdraw(NAME, receipt, options, SilentRun())
    assert gone.done == (f"master is empty: {len(job.files)} files are deleted from it",)
    assert (
        "the tag v1.0.0 still serves every file" in gone.remains[0] and "public" in gone.remains[-1]
    )
    assert ModelScopeHub().files(NAME, "", options, SilentRun()) == ()
    assert len(ModelScopeHub().files(NAME, "v1.0.0", options, SilentRun())) == len(job.files)


def test_names() -> None:
    assert ModelScopeHub().repository("food/InternVL2-2B") == "food/InternVL2-2B"
    for bad in ("InternVL2", "a/b/c", "a/b..c", "a/-b", "a/b.git", "a b/c", "", "https://x/y"):
        with pytest.raises(UsageError, match="organisation/name"):
            ModelScopeHub().repository(bad)
