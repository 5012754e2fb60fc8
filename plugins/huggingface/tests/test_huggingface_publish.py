"""The real client against the rehearsal hub: publish, read back, publish again, re-release, pull
request, withdraw."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hubkit_huggingface import HuggingFaceHub
from huggingface_hub import HfApi
from testing.hub_tests import NAME, Publishing
from testing.releases import Notes, make_release

from hubkit.rehearsal import Faults, Running
from hubkit.sdk import RefusedError, SilentRun, UsageError
from hubkit.sdk.testing import check_hub

from .conftest import TOKEN


class TestPublishing(Publishing):
    plugin = HuggingFaceHub()
    told: ClassVar = {"private": True, "xet": False}


def sent(faults: Faults, path: str) -> list[tuple[str, int]]:
    return [
        (seen.method, seen.status)
        for seen in faults.requests
        if path in seen.path and seen.method in ("PUT", "POST")
    ]


def test_its_whole_life(tmp_path: Path, hub: Running, options: dict[str, Any]) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    other = make_release(tmp_path / "other", NAME, options, seed=5)
    receipt = check_hub(
        HuggingFaceHub(), job, tmp_path / "out", other=other, bad_target="no-organisation"
    )
    api = HfApi(endpoint=hub.url, token=TOKEN)
    info = api.repo_info(NAME, files_metadata=True)
    assert (info.sha, info.private) == (receipt.revision, True)
    assert receipt.url == f"{hub.url}/{NAME}/tree/v1.0.0"
    commits = api.list_repo_commits(NAME)
    assert [commit.title for commit in commits[:1]] == ["InternVL2-Tiny v1.0.0"] and len(
        commits
    ) == 2
    assert f"Release-Commit: {job.commit}" in commits[0].message
    assert {ref.name: ref.target_commit for ref in api.list_repo_refs(NAME).tags} == {
        "v1.0.0": receipt.revision
    }


def test_only_what_the_manifest_lists_is_sent_and_each_large_file_is_read_once(
    tmp_path: Path, hub: Running, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import lfs

    monkeypatch.setattr(
        lfs, "sha_fileobj", lambda *_: pytest.fail("a file was hashed although its digest is known")
    )
    job, notes = make_release(tmp_path / "InternVL2-Tiny", NAME, options), Notes()
    (job.folder / "secret.env").write_text("KEY=1")
    HuggingFaceHub().publish(job, notes)
    listed = HuggingFaceHub().files(NAME, job.tag, options, SilentRun())
    assert {file.path: (file.size, file.sha256) for file in listed} == {
        f.path: (f.size, f.sha256) for f in job.files
    }
    assert notes.steps[-1] == (602_560, 602_560, "bytes")


def test_a_pull_request_leaves_main_alone(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    options |= {"pull_request": True}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    receipt = HuggingFaceHub().publish(job, SilentRun())
    api = HfApi(endpoint=hub.url, token=TOKEN)
    assert api.list_repo_files(NAME) == [".gitattributes"]
    assert receipt.url == f"{hub.url}/{NAME}/discussions/1"
    assert HuggingFaceHub().publish(job, SilentRun()) == receipt
    listed = HuggingFaceHub().files(NAME, receipt.revision, options, SilentRun())
    assert {file.path: file.sha256 for file in listed} == {
        file.path: file.sha256 for file in job.files
    }


def test_a_branch_is_made_and_main_left_alone(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    options |= {"branch": "next", "private": False}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    receipt = HuggingFaceHub().publish(job, SilentRun())
    api = HfApi(endpoint=hub.url, token=TOKEN)
    assert api.list_repo_files(NAME) == [".gitattributes"] and api.repo_info(NAME).private is False
    assert api.repo_info(NAME, revision="next").sha == receipt.revision


def test_a_repository_of_somebody_else_is_left_alone(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    api.create_repo(NAME, private=True)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="model.txt", repo_id=NAME)
    head, job = api.repo_info(NAME).sha, make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    with pytest.raises(RefusedError, match=r"model\.txt"):
        HuggingFaceHub().publish(job, SilentRun())
    assert api.repo_info(NAME).sha == head
    HuggingFaceHub().publish(replace(job, options={**options, "replace": True}), SilentRun())
    assert "model.txt" not in api.list_repo_files(NAME)


def test_a_commit_on_top_does_not_make_a_second_release(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    receipt = HuggingFaceHub().publish(job, SilentRun())
    api = HfApi(endpoint=hub.url, token=TOKEN)
    api.delete_tag(NAME, tag="v1.0.0")
    api.upload_file(path_or_fileobj=b"# edited on the web", path_in_repo="README.md", repo_id=NAME)
    assert HuggingFaceHub().publish(job, SilentRun()) == receipt
    assert (
        api.repo_info(NAME, revision="v1.0.0").sha == receipt.revision
        and len(api.list_repo_commits(NAME)) == 3
    )


def test_a_file_edited_after_staging_is_not_sent(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    (job.folder / "config.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"config\.json was edited"):
        HuggingFaceHub().publish(job, SilentRun())


def test_names() -> None:
    assert HuggingFaceHub().repository("food/InternVL2-2B") == "food/InternVL2-2B"
    for bad in (
        "InternVL2",
        "a/b/c",
        "a/b--c",
        "a/b..c",
        "a/-b",
        "a/b.git",
        "a b/c",
        "",
        "a/" + "b" * 96,
        "https://x/y",
    ):
        with pytest.raises(UsageError, match="organisation/name"):
            HuggingFaceHub().repository(bad)


def test_options_do_not_repeat_secrets() -> None:
    for bad in ({"token_env": TOKEN}, {"endpoint": f"https://user:{TOKEN}@hub.example"}):
        with pytest.raises(UsageError) as caught:
            HuggingFaceHub().check(NAME, bad)
        assert TOKEN not in str(caught.value)


def test_withdrawing_goes_back_to_the_release_before(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    options |= {"private": False}
    first = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    plugin = HuggingFaceHub()
    before = plugin.publish(first, SilentRun())
    old = plugin.files(NAME, before.revision, options, SilentRun())
    for shard in first.folder.glob("*1-of*.safetensors"):
        shard.unlink()
    second = make_release(
        first.folder, NAME, options, tag="v2.0.0", seed=9, files={"new.txt": b"new"}
    )
    receipt = plugin.publish(second, SilentRun())
    gone = plugin.withdraw(NAME, receipt, options, SilentRun())
    assert "the tag v2.0.0 is deleted" in gone.done and "main is as it was before" in gone.done[1]
    assert receipt.revision in gone.remains[0] and "public" in gone.remains[0]
    assert plugin.files(NAME, "", options, SilentRun()) == old
    api = HfApi(endpoint=hub.url, token=TOKEN)
    assert [ref.name for ref in api.list_repo_refs(NAME).tags] == ["v1.0.0"]


@pytest.mark.parametrize("undo", ["private", "delete"])
def test_withdrawing_wholly(
    tmp_path: Path, hub: Running, options: dict[str, Any], undo: str
) -> None:
    options |= {"private": False, "undo": undo}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options)
    receipt = HuggingFaceHub().publish(job, SilentRun())
    gone = HuggingFaceHub().withdraw(NAME, receipt, options, SilentRun())
    assert len(gone.done) == 2 and gone.remains == ()
    api = HfApi(endpoint=hub.url, token=TOKEN)
    assert api.repo_exists(NAME) is (undo == "private")
    assert undo == "delete" or api.repo_info(NAME).private is True


def test_a_renamed_repository_is_found_under_its_old_name(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, options, weights=2000)
    receipt = HuggingFaceHub().publish(job, SilentRun())
    HfApi(endpoint=hub.url, token=TOKEN).move_repo(NAME, "food/InternVL2-Renamed")
    assert HuggingFaceHub().publish(job, SilentRun()) == receipt
    second = make_release(job.folder, NAME, options, tag="v1.1.0", weights=2000)
    again = HuggingFaceHub().publish(second, SilentRun())
    listed = HuggingFaceHub().files("food/InternVL2-Renamed", again.revision, options, SilentRun())
    assert {file.path: file.sha256 for file in listed} == {
        file.path: file.sha256 for file in second.files
    }
