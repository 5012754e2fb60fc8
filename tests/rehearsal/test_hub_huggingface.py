"""The Hugging Face API, by the official client."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from testing.hubclients import NAME, command, digests

from hubkit.rehearsal import Running


@pytest.fixture
def api(hub: Running) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


def test_a_folder_goes_up_and_comes_back_the_same(
    api: HfApi, hub: Running, release: Path, tmp_path: Path
) -> None:
    assert api.whoami()["name"] == "rehearsal"
    assert str(api.create_repo(NAME, private=True)) == f"{hub.url}/{NAME}"
    commit = api.upload_folder(
        repo_id=NAME, folder_path=release, commit_message="release", commit_description="all of it"
    )
    info = api.repo_info(NAME, files_metadata=True)
    assert (info.sha, info.private, info.pipeline_tag) == (commit.oid, True, "image-text-to-text")
    assert info.card_data is not None and info.card_data.license == "mit"
    weights = next(
        sibling for sibling in info.siblings or () if sibling.rfilename == "model.safetensors"
    )
    sent = digests(release)
    assert weights.lfs is not None and (weights.size, weights.lfs.sha256) == (
        3_000_000,
        sent["model.safetensors"],
    )
    out = snapshot_download(NAME, endpoint=hub.url, token=hub.token, local_dir=tmp_path / "out")
    got = digests(Path(out))
    assert got.pop(".gitattributes") and got == sent
    log = api.list_repo_commits(NAME)
    assert [(entry.title, entry.message, entry.authors) for entry in log] == [
        ("release", "all of it", ["rehearsal"]),
        ("initial commit", "", ["rehearsal"]),
    ]


def test_unchanged_files_are_not_sent_again(
    api: HfApi, hub: Running, release: Path, faults: object
) -> None:
    api.create_repo(NAME)
    first = api.upload_folder(repo_id=NAME, folder_path=release)
    faults.clear()  # type: ignore[attr-defined]
    assert api.upload_folder(repo_id=NAME, folder_path=release).oid == first.oid
    (release / "README.md").write_text("# changed\n", "utf-8")
    assert api.upload_folder(repo_id=NAME, folder_path=release).oid != first.oid
    assert [seen for seen in faults.requests if seen.method == "PUT"] == []  # type: ignore[attr-defined]


def test_large_files_go_up_in_parts(
    api: HfApi, hub: Running, tmp_path: Path, faults: object
) -> None:
    data = os.urandom(4_000_001)
    api.create_repo(NAME)
    api.upload_file(repo_id=NAME, path_in_repo="big.bin", path_or_fileobj=data)
    parts = [seen.path for seen in faults.requests if "/parts/" in seen.path]  # type: ignore[attr-defined]
    assert [path.rsplit("/", 1)[1] for path in parts] == ["1", "2", "3"]
    (entry,) = api.get_paths_info(NAME, ["big.bin"])
    assert entry.lfs.sha256 == hashlib.sha256(data).hexdigest()  # type: ignore[union-attr]
    path = hf_hub_download(
        NAME, "big.bin", endpoint=hub.url, token=hub.token, local_dir=tmp_path / "out"
    )
    assert Path(path).read_bytes() == data


def test_trees_tags_and_branches(api: HfApi, release: Path) -> None:
    api.create_repo(NAME)
    head = api.upload_folder(repo_id=NAME, folder_path=release).oid
    top = {entry.path for entry in api.list_repo_tree(NAME)}
    assert top == {".gitattributes", "README.md", "model.safetensors", "sub"}
    assert [entry.path for entry in api.list_repo_tree(NAME, "sub")] == ["sub/config.json"]
    assert "sub/config.json" in api.list_repo_files(NAME)
    api.create_branch(NAME, branch="next/one", revision=head)
    api.create_tag(NAME, tag="v1.0", tag_message="the first")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(NAME, tag="v1.0")
    api.create_tag(NAME, tag="v1.0", exist_ok=True)
    api.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a", revision="next/one")
    refs = api.list_repo_refs(NAME)
    assert {ref.name: ref.target_commit == head for ref in refs.branches} == {
        "main": True,
        "next/one": False,
    }
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1.0", head)]
    assert api.repo_info(NAME, revision="v1.0").sha == head
    api.delete_tag(NAME, tag="v1.0")
    api.delete_branch(NAME, branch="next/one")
    assert api.list_repo_refs(NAME).tags == []
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(NAME, tag="v1.0")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(NAME, revision="v1.0")


def test_long_trees_come_in_pages(api: HfApi) -> None:
    api.create_repo(NAME)
    files = [CommitOperationAdd(f"many/{n:04d}.txt", str(n).encode()) for n in range(1100)]
    api.create_commit(NAME, files, commit_message="many")
    assert len(list(api.list_repo_tree(NAME, recursive=True))) == 1102


def test_commits_check_their_parent_and_what_they_delete(api: HfApi) -> None:
    api.create_repo(NAME)
    first = api.upload_file(repo_id=NAME, path_in_repo="a/b.txt", path_or_fileobj=b"1").oid
    operations = [CommitOperationAdd("c.txt", b"2"), CommitOperationDelete("a/", is_folder=True)]
    second = api.create_commit(NAME, operations, commit_message="two", parent_commit=first).oid
    assert api.list_repo_files(NAME) == [".gitattributes", "c.txt"]
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit(
            NAME, [CommitOperationAdd("d.txt", b"3")], commit_message="three", parent_commit=first
        )
    with pytest.raises(EntryNotFoundError):
        api.delete_file("nothing.txt", NAME)
    assert api.repo_info(NAME).sha == second


def test_commits_at_once_all_arrive(api: HfApi) -> None:
    from concurrent.futures import ThreadPoolExecutor

    api.create_repo(NAME)

    def upload(number: int) -> str:
        return str(
            api.upload_file(
                repo_id=NAME, path_in_repo=f"{number}.txt", path_or_fileobj=str(number).encode()
            ).oid
        )

    with ThreadPoolExecutor(6) as pool:
        commits = list(pool.map(upload, range(6)))
    assert api.list_repo_files(NAME) == [
        ".gitattributes",
        *(f"{number}.txt" for number in range(6)),
    ]
    assert {entry.commit_id for entry in api.list_repo_commits(NAME)} > set(commits) and len(
        set(commits)
    ) == 6


def test_files_are_copied_and_large_ones_tracked(api: HfApi) -> None:
    api.create_repo(NAME)
    files = {
        ".gitattributes": b"*.bin filter=lfs\n",
        "a.bin": b"weights",
        "b.txt": b"text",
        "big.json": b"0" * (10 * 1024 * 1024 + 1),
    }
    api.create_commit(
        NAME, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="one"
    )
    api.create_commit(
        NAME,
        [CommitOperationCopy("a.bin", "c/d.bin"), CommitOperationCopy("b.txt", "e.txt")],
        commit_message="two",
    )
    entries = {
        entry.path: entry
        for entry in api.list_repo_tree(NAME, recursive=True)
        if isinstance(entry, RepoFile)
    }
    assert {path for path, entry in entries.items() if entry.lfs} == {
        "a.bin",
        "big.json",
        "c/d.bin",
    }
    assert entries["e.txt"].blob_id == entries["b.txt"].blob_id
    text = Path(hf_hub_download(NAME, ".gitattributes", endpoint=api.endpoint)).read_text()
    assert text == "*.bin filter=lfs\n/big.json filter=lfs diff=lfs merge=lfs -text\n"


RANGES = {
    "bytes=2-4": (206, b"234"),
    "bytes=7-": (206, b"789"),
    "bytes=-2": (206, b"89"),
    "bytes=5-99": (206, b"56789"),
    "bytes=10-": (416, b""),
    "bytes=1-2,4-5": (200, b"0123456789"),
    "": (200, b"0123456789"),
}


@pytest.mark.parametrize("path", ["in-git.txt", "in-lfs.bin"])
def test_ranges(api: HfApi, hub: Running, path: str) -> None:
    import httpx2 as http

    api.create_repo(NAME)
    commit = api.upload_file(repo_id=NAME, path_in_repo=path, path_or_fileobj=b"0123456789").oid
    with http.Client(base_url=hub.url) as client:
        for url in (
            f"/{NAME}/resolve/main/{path}",
            f"/api/v1/models/{NAME}/repo?Revision=master&FilePath={path}",
        ):
            for asked, (status, content) in RANGES.items():
                answer = client.get(url, headers={"range": asked} if asked else {})
                assert (answer.status_code, answer.content, answer.headers["x-repo-commit"]) == (
                    status,
                    content,
                    commit,
                ), asked
            head = client.head(url)
            assert (head.headers["content-length"], head.content) == ("10", b"")


def test_pull_requests_are_kept_apart_until_merged(api: HfApi, release: Path) -> None:
    api.create_repo(NAME)
    before = api.repo_info(NAME).sha
    commit = api.upload_folder(
        repo_id=NAME, folder_path=release, commit_message="release", create_pr=True
    )
    assert (commit.pr_num, commit.pr_revision) == (1, "refs/pr/1")
    assert api.repo_info(NAME).sha == before
    assert api.repo_info(NAME, revision="refs/pr/1").sha == commit.oid
    again = api.upload_file(
        repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a", revision="refs/pr/1"
    )
    pulls = api.list_repo_refs(NAME, include_pull_requests=True).pull_requests
    assert [(ref.name, ref.target_commit) for ref in pulls or ()] == [("refs/pr/1", again.oid)]
    assert api.get_discussion_details(NAME, 1).status == "draft"
    api.merge_pull_request(NAME, 1)
    assert api.repo_info(NAME).sha == again.oid
    opened = api.create_pull_request(NAME, title="another")
    assert (opened.num, opened.git_reference) == (2, "refs/pr/2")
    api.change_discussion_status(NAME, 2, new_status="closed")
    assert api.get_discussion_details(NAME, 2).status == "closed"


def test_settings_renaming_and_deleting(api: HfApi, hub: Running, tmp_path: Path) -> None:
    api.create_repo(NAME, private=True)
    api.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a")
    api.update_repo_settings(NAME, private=False)
    assert api.repo_info(NAME).private is False
    api.move_repo(NAME, "org/Other")
    assert api.repo_info(NAME).id == "org/Other"
    assert (
        Path(
            hf_hub_download(NAME, "a.txt", endpoint=hub.url, local_dir=tmp_path / "out")
        ).read_bytes()
        == b"a"
    )
    assert (
        api.upload_file(repo_id=NAME, path_in_repo="b.txt", path_or_fileobj=b"b").oid
        == api.repo_info("org/Other").sha
    )
    api.delete_repo("org/Other")
    assert not api.repo_exists("org/Other") and not api.repo_exists(NAME)
    api.delete_repo("org/Other", missing_ok=True)


def test_tokens_and_permissions(api: HfApi, hub: Running) -> None:
    api.create_repo(NAME, private=True)
    reader = HfApi(endpoint=hub.url, token=hub.add_token("reader", write=False))
    assert reader.repo_info(NAME).private is True
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a")
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).repo_info(NAME)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(endpoint=hub.url, token="hf_wrong").whoami()
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("org/nothing")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(NAME)
    assert str(api.create_repo(NAME, exist_ok=True)).endswith(NAME)
    hub.revoke(hub.token)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami()


@pytest.mark.parametrize(
    "name",
    ["bare", "org/a--b", "org/a..b", "org/.a", "org/a.git", "org/a b", "api/x", "org/" + "a" * 97],
)
def test_names_are_checked(hub: Running, name: str) -> None:
    import httpx2 as http

    organisation, _, last = name.rpartition("/")
    body = {"name": last, "organization": organisation or None, "type": "model"}
    answer = http.post(
        f"{hub.url}/api/repos/create", json=body, headers={"authorization": f"Bearer {hub.token}"}
    )
    assert answer.status_code == 400 and answer.json()["error"]


def test_cards_are_checked_before_a_commit(api: HfApi, hub: Running) -> None:
    api.create_repo(NAME)
    with pytest.raises(ValueError, match="not valid YAML"):
        api.upload_file(
            repo_id=NAME, path_in_repo="README.md", path_or_fileobj=b"---\nlicense: [\n---\n# x\n"
        )


def test_the_command_line_client_downloads(
    api: HfApi, hub: Running, release: Path, tmp_path: Path
) -> None:
    api.create_repo(NAME, private=True)
    api.upload_folder(repo_id=NAME, folder_path=release)
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_XET": "1",
    }
    call = [command("hf"), "download", NAME, "--local-dir", str(tmp_path / "out")]
    done = subprocess.run(
        call, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    got = digests(tmp_path / "out")
    assert got.pop(".gitattributes") and got == digests(release)
