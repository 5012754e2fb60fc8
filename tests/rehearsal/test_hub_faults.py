"""Each fault is what a client sees: by plain http requests and by the official client."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as http
import pytest
from huggingface_hub import HfApi, hf_hub_download
from testing.hubclients import NAME

from hubkit.rehearsal import Fault, Faults, Running, serve

DATA = b"weights " * 1000


@pytest.fixture
def api(hub: Running) -> HfApi:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(NAME)
    return api


@pytest.fixture
def client(hub: Running) -> Iterator[http.Client]:
    with http.Client(
        base_url=hub.url, headers={"authorization": f"Bearer {hub.token}"}, timeout=5
    ) as client:
        yield client


def upload_link(client: http.Client, data: bytes = DATA) -> tuple[str, str]:
    oid = hashlib.sha256(data).hexdigest()
    asked = {"operation": "upload", "objects": [{"oid": oid, "size": len(data)}]}
    batch = client.post(f"/{NAME}.git/info/lfs/objects/batch", json=asked).json()
    return oid, batch["objects"][0]["actions"]["upload"]["href"]


def test_a_reset_before_and_inside_the_body(
    api: HfApi, hub: Running, client: http.Client, faults: Faults
) -> None:
    oid, link = upload_link(client)
    faults.add(Fault("reset", method="PUT", bytes=100, times=2))
    for _ in range(2):
        with pytest.raises(http.TransportError):
            http.put(link, content=DATA)
        assert hub.hub.objects.size(oid) is None
    assert http.put(link, content=DATA).status_code == 200
    assert [(seen.fault, seen.status) for seen in faults.requests if seen.method == "PUT"] == [
        ("reset", 0),
        ("reset", 0),
        ("", 200),
    ]


def test_a_lost_answer_is_of_a_request_carried_out(api: HfApi, faults: Faults) -> None:
    before = api.repo_info(NAME).sha
    faults.add(Fault("lost", path="/commit/"))
    with pytest.raises(http.TransportError):
        api.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a")
    assert api.repo_info(NAME).sha != before and "a.txt" in api.list_repo_files(NAME)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502, 504])
def test_any_status_and_its_headers(
    hub: Running, client: http.Client, faults: Faults, status: int
) -> None:
    faults.add(
        Fault(
            "status",
            path="whoami",
            status=status,
            headers={"retry-after": "7", "x-error-code": "GatedRepo"},
        )
    )
    answer = client.get("/api/whoami-v2")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]) == (
        status,
        "7",
        "a fault on order",
    )
    assert client.get("/api/whoami-v2").status_code == 200


def test_a_truncated_answer_is_made_good_by_the_client(
    api: HfApi, hub: Running, faults: Faults, tmp_path: Path, client: http.Client
) -> None:
    api.upload_file(repo_id=NAME, path_in_repo="w.bin", path_or_fileobj=DATA)
    faults.add(Fault("truncate", method="GET", path="/resolve/", bytes=5000))
    with pytest.raises(http.RemoteProtocolError):
        client.get(f"/{NAME}/resolve/main/w.bin")
    faults.add(Fault("truncate", method="GET", path="/resolve/", bytes=5000))
    path = hf_hub_download(
        NAME, "w.bin", endpoint=hub.url, token=hub.token, local_dir=tmp_path / "out"
    )
    assert Path(path).read_bytes() == DATA
    gets = [
        (seen.fault, seen.status)
        for seen in faults.requests
        if seen.method == "GET" and "/resolve/" in seen.path
    ]
    assert gets == [("truncate", 200), ("truncate", 200), ("", 200)]


def test_slow_and_stalled_answers(api: HfApi, client: http.Client, faults: Faults) -> None:
    api.upload_file(repo_id=NAME, path_in_repo="w.bin", path_or_fileobj=DATA)
    faults.add(Fault("slow", path="/api/whoami", seconds=0.3))
    began = time.monotonic()
    assert client.get("/api/whoami-v2").status_code == 200
    assert time.monotonic() - began >= 0.3
    faults.add(Fault("stall", path="/resolve/", bytes=10, seconds=30))
    with pytest.raises(http.ReadTimeout):
        client.get(f"/{NAME}/resolve/main/w.bin", timeout=0.3)


def test_a_hub_that_stores_wrong_bytes(
    api: HfApi, hub: Running, client: http.Client, faults: Faults
) -> None:
    oid, link = upload_link(client)
    faults.add(Fault("wrong", method="PUT"))
    assert http.put(link, content=DATA).status_code == 200
    kept = hub.hub.objects.path(oid).read_bytes()
    assert len(kept) == len(DATA) and hashlib.sha256(kept).hexdigest() != oid


def test_a_redirect_to_another_host(
    hub: Running, client: http.Client, faults: Faults, tmp_path: Path
) -> None:
    seen = Faults()
    with serve(tmp_path / "other", faults=seen) as other:
        faults.add(
            Fault("redirect", path="whoami", location=other.url.replace("127.0.0.1", "localhost"))
        )
        answer = client.get("/api/whoami-v2", follow_redirects=True)
    assert answer.status_code == 401
    assert [(request.path, request.authorized) for request in seen.requests] == [
        ("/api/whoami-v2", False)
    ]


def test_faults_by_number_and_in_turn(hub: Running, client: http.Client, faults: Faults) -> None:
    faults.add(Fault("status", index=1, status=500))
    faults.add(Fault("status", path="whoami", skip=2, times=0, status=502))
    assert [client.get("/api/whoami-v2").status_code for _ in range(5)] == [200, 500, 502, 502, 502]
    faults.clear()
    assert client.get("/api/whoami-v2").status_code == 200 and len(faults.requests) == 1


def test_a_token_revoked_midway(api: HfApi, hub: Running, client: http.Client) -> None:
    _, link = upload_link(client)
    hub.revoke(hub.token)
    assert http.put(link, content=DATA).status_code == 200
    assert client.post(f"/api/models/{NAME}/commit/main", content=b"{}").status_code == 401


def test_there_is_no_xet_here(api: HfApi, client: http.Client) -> None:
    for kind in ("read", "write"):
        assert client.get(f"/api/models/{NAME}/xet-{kind}-token/main").status_code == 404


def test_no_token_is_kept(api: HfApi, hub: Running, tmp_path: Path) -> None:
    api.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a")
    files = [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if hub.token.encode() in path.read_bytes()] == []
    assert hub.token not in repr(hub)


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"files": [1]}', b'{"files": [{"path": "a", "size": "1"}]}']
)
def test_what_is_no_request_is_told(api: HfApi, client: http.Client, body: bytes) -> None:
    answer = client.post(f"/api/models/{NAME}/preupload/main", content=body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_other_names_of_this_host_are_refused(hub: Running) -> None:
    assert http.get(f"{hub.url}/", headers={"host": "evil.example"}).status_code == 421
