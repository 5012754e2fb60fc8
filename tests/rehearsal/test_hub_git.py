"""Plain git and git-lfs against the hub, and the three views of one repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from testing.hubclients import NAME, digests, git

from hubkit.rehearsal import Running


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def start(work: Path, hub: Running) -> None:
    assert git("init", "-q", cwd=work, hub=hub).returncode == 0
    (work / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    (work / ".gitignore").write_text(".askpass\n.config\n")


def commit(work: Path, hub: Running) -> None:
    assert git("add", ".", cwd=work, hub=hub).returncode == 0
    assert git("commit", "-q", "-m", "by git", cwd=work, hub=hub).returncode == 0


def push(work: Path, hub: Running, token: str | None = None) -> str:
    """What a refused push said; empty when it went through."""
    uploaded = git("lfs", "push", hub.git_url(NAME), "main", cwd=work, hub=hub, token=token)
    done = git("push", hub.git_url(NAME), "main", cwd=work, hub=hub, token=token)
    return "" if done.returncode == uploaded.returncode == 0 else uploaded.stderr + done.stderr


def test_a_push_creates_and_a_clone_gets_the_same(hub: Running, work: Path, tmp_path: Path) -> None:
    start(work, hub)
    (work / "model.safetensors").write_bytes(os.urandom(2_000_000))
    commit(work, hub)
    assert push(work, hub) == ""
    assert (
        git(
            "clone", "-q", f"{hub.url}/{NAME}", str(tmp_path / "clone"), cwd=work, hub=hub
        ).returncode
        == 0
    )
    cloned = digests(tmp_path / "clone")
    assert cloned == {
        name: digest
        for name, digest in digests(work).items()
        if name not in (".askpass", ".config")
    }
    api = HfApi(endpoint=hub.url, token=hub.token)
    info = api.repo_info(NAME, files_metadata=True)
    assert info.private and info.sha == git("rev-parse", "HEAD", cwd=work, hub=hub).stdout.strip()
    lfs = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs}
    assert lfs == {"model.safetensors": cloned["model.safetensors"]}


def test_the_three_views_are_of_one_repository(
    hub: Running, release: Path, work: Path, tmp_path: Path
) -> None:
    modelscope_hub = pytest.importorskip("modelscope_hub")
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(NAME, private=True)
    api.upload_folder(repo_id=NAME, folder_path=release)
    clone = tmp_path / "clone"
    assert git("clone", "-q", hub.git_url(NAME), str(clone), cwd=work, hub=hub).returncode == 0
    (clone / "more.txt").write_text("by git\n")
    assert git("add", "more.txt", cwd=clone, hub=hub).returncode == 0
    assert git("commit", "-q", "-m", "more", cwd=clone, hub=hub).returncode == 0
    assert git("push", "-q", "origin", "main", cwd=clone, hub=hub).returncode == 0
    scope = modelscope_hub.HubApi(endpoint=hub.url, token=hub.token)
    seen = {
        file.path: file.sha256
        for file in scope.list_repo_files(NAME, "model")
        if file.type == "blob"
    }
    assert seen == {
        name: d for name, d in digests(clone).items() if name not in (".askpass", ".config")
    }
    scope.create_repo_tag(NAME, "model", "v2")
    assert git("ls-remote", "--tags", "origin", cwd=clone, hub=hub).stdout.endswith(
        "refs/tags/v2\n"
    )
    assert (
        f"{hub.url}/models/{NAME}.git"
        and git("ls-remote", f"{hub.url}/models/{NAME}.git", cwd=clone, hub=hub).returncode == 0
    )
    protocols = [event.protocol for event in reversed(hub.hub.database.events())]
    assert protocols == ["huggingface", "lfs", "huggingface", "git", "modelscope"]


def test_a_large_file_outside_lfs_is_refused(hub: Running, work: Path) -> None:
    start(work, hub)
    (work / "tokenizer.json").write_bytes(b"0" * (10 * 1024 * 1024 + 1))
    commit(work, hub)
    assert "tokenizer.json has 10485761 bytes" in push(work, hub)
    (work / "tokenizer.json").write_bytes(b"0" * (10 * 1024 * 1024))
    assert git("add", ".", cwd=work, hub=hub).returncode == 0
    assert git("commit", "-q", "--amend", "-m", "smaller", cwd=work, hub=hub).returncode == 0
    assert push(work, hub) == ""


def test_a_pointer_without_its_object_is_refused(hub: Running, work: Path) -> None:
    start(work, hub)
    (work / "model.safetensors").write_bytes(os.urandom(1000))
    commit(work, hub)
    done = git("push", "--no-verify", hub.git_url(NAME), "main", cwd=work, hub=hub)
    assert done.returncode != 0 and "has not been uploaded" in done.stderr


def test_looking_and_trying_create_nothing(hub: Running, work: Path) -> None:
    start(work, hub)
    commit(work, hub)
    listed = git("ls-remote", hub.git_url(NAME), cwd=work, hub=hub)
    assert (listed.returncode, listed.stdout) == (0, "")
    assert git("push", "--dry-run", hub.git_url(NAME), "main", cwd=work, hub=hub).returncode == 0
    assert hub.hub.database.repositories() == []
    assert git("ls-remote", hub.git_url("org/a--b"), cwd=work, hub=hub).returncode != 0
    hub.create("org/Empty")
    assert git("push", hub.git_url("org/Empty"), "main", cwd=work, hub=hub).returncode == 0
    assert [repository.name for repository in hub.hub.database.repositories()] == ["org/Empty"]


def test_pushes_need_a_write_token(hub: Running, work: Path) -> None:
    start(work, hub)
    commit(work, hub)
    assert "403" in push(work, hub, hub.add_token("reader", write=False))
    assert "Authentication failed" in push(work, hub, "wrong")
    assert push(work, hub) == ""
    assert (
        "Authentication failed"
        in git("ls-remote", hub.git_url(NAME), cwd=work, hub=hub, token="wrong").stderr
    )


def test_objects_of_the_wrong_digest_or_size_are_refused(hub: Running) -> None:
    import httpx2 as http

    headers = {"authorization": f"Bearer {hub.token}"}
    HfApi(endpoint=hub.url, token=hub.token).create_repo(NAME)
    oid = "a" * 64
    asked = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": 4}]}
    batch = http.post(
        f"{hub.git_url(NAME)}/info/lfs/objects/batch", json=asked, headers=headers
    ).json()
    actions = batch["objects"][0]["actions"]
    assert http.put(actions["upload"]["href"], content=b"abcd").status_code == 400
    assert http.put(actions["upload"]["href"], content=b"abc").status_code == 400
    assert (
        http.put(
            actions["upload"]["href"].replace("signature=", "signature=0"), content=b"abcd"
        ).status_code
        == 403
    )
    assert http.post(actions["verify"]["href"], json={"oid": oid, "size": 4}).status_code == 404
    asked["operation"] = "download"
    batch = http.post(
        f"{hub.git_url(NAME)}/info/lfs/objects/batch", json=asked, headers=headers
    ).json()
    assert batch["objects"][0]["error"]["code"] == 404
    items = [
        {"key": "header", "value": {"summary": "x"}},
        {"key": "lfsFile", "value": {"path": "a", "oid": oid, "size": 4}},
    ]
    line = "".join(json.dumps(item) + "\n" for item in items)
    refused = http.post(f"{hub.url}/api/models/{NAME}/commit/main", content=line, headers=headers)
    assert refused.status_code == 400 and "has not been uploaded" in refused.text


def test_a_card_that_hubs_do_not_take_is_refused(hub: Running, work: Path) -> None:
    start(work, hub)
    (work / "README.md").write_text("---\nlicense: InternVL-License\n---\n# x\n")
    commit(work, hub)
    told = push(work, hub)
    assert "Invalid metadata in README.md: license 'InternVL-License' is no licence id" in told
    (work / "README.md").write_text("---\nlicense: mit\n---\n# x\n")
    assert git("commit", "-qam", "corrected", cwd=work, hub=hub).returncode == 0
    assert push(work, hub) == ""
