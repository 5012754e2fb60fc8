"""The ModelScope API, by the official client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from testing.hubclients import NAME, command, digests

from hubkit.rehearsal import Running

modelscope_hub = pytest.importorskip("modelscope_hub")
from modelscope_hub import HubApi  # noqa: E402
from modelscope_hub.errors import (  # noqa: E402
    AlreadyExistsError,
    AuthenticationError,
    InvalidParameter,
    NotExistError,
    PermissionDeniedError,
)


@pytest.fixture
def api(hub: Running) -> HubApi:
    return HubApi(endpoint=hub.url, token=hub.token)


def upload(api: HubApi, folder: Path) -> None:
    api.upload_folder(
        NAME, repo_type="model", folder_path=folder, commit_message="release", use_cache=False
    )


def test_login_creates_and_describes(api: HubApi, hub: Running) -> None:
    assert api.login(hub.token).username == "rehearsal"
    made = api.create_repo(NAME, "model", visibility="private", license="mit", chinese_name="模型")
    assert (made.repo_id, made.visibility, made.license) == (NAME, 1, "mit")
    info = api.get_repo(NAME, "model")
    assert (info.repo_id, info.private, info.license) == (NAME, True, "mit")
    assert api.repo_exists(NAME, "model") and not api.repo_exists("org/nothing", "model")
    with pytest.raises(AlreadyExistsError):
        api.create_repo(NAME, "model")
    with pytest.raises(NotExistError):
        api.get_repo("org/nothing", "model")


def test_a_folder_goes_up_and_comes_back_the_same(
    api: HubApi, release: Path, tmp_path: Path
) -> None:
    api.create_repo(NAME, "model", visibility="private")
    upload(api, release)
    sent = digests(release)
    files = {file.path: file for file in api.list_repo_files(NAME, "model")}
    assert {path: files[path].sha256 for path in sent} == sent
    assert files["model.safetensors"].size == 3_000_000 and files["sub"].type == "tree"
    out = api.download_repo(NAME, "model", local_dir=tmp_path / "out")
    got = digests(Path(out))
    assert {path: got[path] for path in sent} == sent
    assert set(got) - set(sent) == {".gitattributes", "configuration.json"}


def test_tags_are_made_of_master(api: HubApi, release: Path, tmp_path: Path) -> None:
    api.create_repo(NAME, "model")
    upload(api, release)
    api.create_repo_tag(NAME, "model", "v1")
    assert {row["Revision"] for row in api.list_repo_revisions(NAME, "model")} == {"master", "v1"}
    (release / "sub" / "config.json").write_text('{"a": 1}\n', "utf-8")
    upload(api, release)
    out = api.download_repo(NAME, "model", revision="v1", local_dir=tmp_path / "out")
    assert (Path(out) / "sub" / "config.json").read_text() == "{}\n"
    with pytest.raises((InvalidParameter, AlreadyExistsError)):
        api.create_repo_tag(NAME, "model", "v1")
    with pytest.raises(InvalidParameter):
        api.upload_file(NAME, "model", path_or_fileobj=b"x", path_in_repo="x.txt", revision="v1")


def test_tokens_and_permissions(api: HubApi, hub: Running) -> None:
    api.create_repo(NAME, "model", visibility="private")
    with pytest.raises(AuthenticationError):
        HubApi(endpoint=hub.url, token="wrong").login("wrong")
    reader = HubApi(endpoint=hub.url, token=hub.add_token("reader", write=False))
    assert reader.get_repo(NAME, "model").repo_id == NAME
    with pytest.raises(PermissionDeniedError):
        reader.create_repo("org/Another", "model")
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(PermissionDeniedError, match=r"no longer supports|restricted"),
    ):
        api.delete_repo(NAME, "model")


@pytest.mark.integration
def test_the_command_line_client_downloads(
    api: HubApi, hub: Running, release: Path, tmp_path: Path
) -> None:
    api.create_repo(NAME, "model", visibility="private")
    upload(api, release)
    environment = {**os.environ, "MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_API_TOKEN": hub.token}
    call = [
        command("modelscope"),
        "download",
        "--model",
        NAME,
        "--local_dir",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        call, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    got, sent = digests(tmp_path / "out"), digests(release)
    assert {path: got[path] for path in sent} == sent
