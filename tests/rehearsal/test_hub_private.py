"""What somebody without a token can get: nothing of a private repository."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi

from hubkit.rehearsal import Running

SECRET, OPEN = b"private weights" * 1000, b"public weights" * 1000


def wanted(data: bytes) -> dict[str, object]:
    return {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}


@pytest.fixture
def published(hub: Running, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    for name, private, data in (("org/secret", True, SECRET), ("org/open", False, OPEN)):
        api.create_repo(name, private=private)
        api.upload_file(repo_id=name, path_in_repo="a.safetensors", path_or_fileobj=data)


def batch(hub: Running, name: str, token: str = "") -> httpx2.Response:
    body = {"operation": "download", "objects": [wanted(SECRET), wanted(OPEN)]}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.post(f"{hub.url}/{name}.git/info/lfs/objects/batch", json=body, headers=headers)


def test_an_anonymous_batch_gets_no_object_of_a_private_repository(
    hub: Running, published: None
) -> None:
    assert batch(hub, "org/secret").status_code == 401
    secret, opened = batch(hub, "org/open").json()["objects"]
    assert secret["error"]["code"] == 404 and "actions" not in secret
    link = opened["actions"]["download"]["href"]
    assert httpx2.get(link).content == OPEN
    assert (
        httpx2.get(link.replace(*(str(wanted(x)["oid"]) for x in (OPEN, SECRET)))).status_code
        == 403
    )
    assert all("actions" in one for one in batch(hub, "org/secret", hub.token).json()["objects"])


def test_an_object_of_an_earlier_commit_stays_public(hub: Running, published: None) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.delete_file("a.safetensors", "org/open")
    _, opened = batch(hub, "org/open").json()["objects"]
    assert "actions" in opened


@pytest.mark.parametrize(
    "body",
    [b'{"paths": ["\\ud800"]}', b'{"paths": ' + b"9" * 5000 + b"}", b"[" * 50_000, b"{}", b"[1]"],
    ids=["surrogate", "digits", "deep", "none", "list"],
)
def test_a_broken_body_is_the_clients_fault(hub: Running, published: None, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    asked = f"{hub.url}/api/models/org/open/paths-info/main"
    assert httpx2.post(asked, content=body, headers=headers).status_code == 400
    commit = (
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": ' + body + b"}"
    )
    headers = {"authorization": f"Bearer {hub.token}"}
    to = f"{hub.url}/api/models/org/open/commit/main"
    assert httpx2.post(to, content=commit, headers=headers).status_code == 400
    file = f"{hub.url}/org/open/resolve/main/a.safetensors"
    assert httpx2.get(file, headers={"range": f"bytes={'9' * 6000}-"}).content == OPEN
