import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubkit_git_lfs import GitLfsHub
from hubkit_git_lfs._login import login
from hubkit_git_lfs._target import parse

from hubkit.digests import sha256
from hubkit.publishing.comparison import compare
from hubkit.sdk import (
    CancelledError,
    EnvironmentFailure,
    RefusedError,
    RemoteError,
    SilentRun,
    UsageError,
)

Job = Callable[..., Any]
Git = Callable[..., str]
RUN = SilentRun()
OPTIONS = {"token_env": "HUB_TOKEN", "username": "ada"}


@pytest.fixture(autouse=True)
def quiet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose credential helper would write every password to a file."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[credential]\nhelper = store --file={home / 'passwords'}\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return home


def test_a_token_travels_through_askpass_only(
    job: Job,
    git: Git,
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notes: Any,
    quiet_home: Path,
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("InternVL2-Tiny.git")
    release, listed = job(f"{server.url}/InternVL2-Tiny.git", **OPTIONS)
    hub = GitLfsHub()
    assert hub.check(release.target, OPTIONS) == ()
    assert git(bare, "for-each-ref") == ""
    receipt = hub.publish(release, notes)
    assert (receipt.revision, receipt.url) == (release.commit, f"{server.url}/InternVL2-Tiny")
    assert git(bare, "rev-parse", "main", "v1.0.0^{commit}").split() == [release.commit] * 2
    assert server.users == {"", "ada"}
    large = {file.sha256: file.size for file in release.files if file.lfs}
    assert {oid: len(data) for oid, data in server.objects.items()} == large
    assert notes.steps[-1] == (sum(large.values()), sum(large.values()), "bytes")
    assert compare(listed.released(), hub.files(release.target, release.commit, OPTIONS, RUN)).ok
    hub.download(release.target, "v1.0.0", tmp_path / "download", OPTIONS, notes)
    assert {file.path: sha256(tmp_path / "download" / file.path) for file in release.files} == {
        file.path: file.sha256 for file in release.files
    }
    assert not (quiet_home / "passwords").exists()
    written = [
        path
        for place in (release.folder / ".git", tmp_path / "download" / ".git")
        for path in place.rglob("*")
    ]
    assert not [
        path for path in written if path.is_file() and server.token.encode() in path.read_bytes()
    ]
    assert server.token not in repr((receipt, notes.notes, notes.steps))


def test_publishing_again_uploads_nothing(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    server.repository("x.git")
    release, _ = job(f"{server.url}/x.git", **OPTIONS)
    first = GitLfsHub().publish(release, RUN)
    server.log.clear()
    assert GitLfsHub().publish(release, RUN) == first
    assert {method for method, _ in server.log} == {"GET", "POST"}
    assert all("upload-pack" in path for _, path in server.log)


def test_a_release_from_another_folder_goes_on_top(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare, hub = server.repository("x.git"), GitLfsHub()
    first, _ = job(f"{server.url}/x.git", **OPTIONS)
    hub.publish(first, RUN)
    sent = set(server.objects)
    second, listed = job(f"{server.url}/x.git", name="again", tag="v1.1.0", **OPTIONS)
    receipt = hub.publish(second, RUN)
    assert (
        git(bare, "rev-list", "main").split() == [receipt.revision, first.commit]
        and set(server.objects) == sent
    )
    assert compare(listed.released(), hub.files(second.target, "v1.1.0", OPTIONS, RUN)).ok
    assert hub.publish(second, RUN) == receipt and hub.publish(first, RUN).revision == first.commit


def test_another_release_at_the_server_is_refused_before_anything_is_sent(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    server.repository("x.git")
    GitLfsHub().publish(job(f"{server.url}/x.git", **OPTIONS)[0], RUN)
    objects = dict(server.objects)
    with pytest.raises(RefusedError, match="another release under the tag"):
        GitLfsHub().publish(job(f"{server.url}/x.git", name="other", seed=1, **OPTIONS)[0], RUN)
    assert server.objects == objects


def test_a_wrong_token_is_named_by_its_source_and_not_shown(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "wrong-secretword")
    server.repository("x.git")
    release, _ = job(f"{server.url}/x.git", **OPTIONS)
    with pytest.raises(EnvironmentFailure) as caught:
        GitLfsHub().publish(release, RUN)
    assert "Authentication failed" in caught.value.message
    assert "the environment variable HUB_TOKEN" in caught.value.message
    assert "token_env" in caught.value.remedy
    assert "secretword" not in str(caught.value)
    problems = GitLfsHub().check(release.target, OPTIONS)
    assert ["Authentication failed" in problem.message for problem in problems] == [True]


def test_without_credentials_git_does_not_ask(job: Job, server: Any) -> None:
    server.repository("x.git")
    release, _ = job(f"{server.url}/x.git")
    with pytest.raises(EnvironmentFailure) as caught:
        GitLfsHub().publish(release, RUN)
    assert "could not read Username" in caught.value.message
    assert "credential helper" in caught.value.remedy


def test_git_s_own_credential_helper_logs_in(job: Job, server: Any, quiet_home: Path) -> None:
    server.repository("x.git")
    host = server.url.removeprefix("http://")
    (quiet_home / "passwords").write_text(f"http://ada:{server.token}@{host}\n")
    release, listed = job(f"{server.url}/x.git")
    GitLfsHub().publish(release, RUN)
    assert compare(listed.released(), GitLfsHub().files(release.target, "", {}, RUN)).ok


def test_a_missing_repository_and_a_missing_server(
    job: Job, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    release, _ = job(f"{server.url}/nowhere.git", **OPTIONS)
    with pytest.raises(RemoteError) as caught:
        GitLfsHub().publish(release, RUN)
    assert "create the repository at the hub first" in caught.value.remedy
    release, _ = job("http://127.0.0.1:9/x.git")
    with pytest.raises(RemoteError) as caught:
        GitLfsHub().publish(release, RUN)
    assert "check the network" in caught.value.remedy


def test_the_token_is_given_to_its_host_only(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "secretword")
    host = server.url.removeprefix("http://")
    with login(parse(f"{server.url}/x.git"), "HUB_TOKEN", "", "ada") as given:
        assert "secretword" not in repr(given)
        assert "secretword" not in Path(given.environment["GIT_ASKPASS"]).read_text()

        def ask(question: str) -> tuple[int, str]:
            command = [given.environment["GIT_ASKPASS"], question]
            done = subprocess.run(
                command, env=given.environment, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout

        assert ask(f"Username for 'http://{host}': ") == (0, "ada\n")
        assert ask(f"Password for 'http://ada@{host}': ") == (0, "secretword\n")
        assert ask(f'Password for "http://ada@{host}/x.git/info/lfs"') == (0, "secretword\n")
        for other in ("evil.example", f"{host}0", f"evil.example/{host}", f"{host}.evil.example"):
            assert ask(f"Password for 'https://ada@{other}': ") == (1, "")
    assert not Path(given.environment["GIT_ASKPASS"]).exists()


def test_what_token_env_may_be(job: Job, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_TOKEN", raising=False)
    target = f"{server.url}/x.git"
    with pytest.raises(UsageError) as usage:
        GitLfsHub().files(target, "", {"token_env": "hf_secretword"}, RUN)
    assert "secretword" not in str(usage.value)
    with pytest.raises(EnvironmentFailure) as unset:
        GitLfsHub().files(target, "", {"token_env": "HUB_TOKEN"}, RUN)
    assert "HUB_TOKEN, named by `token_env`, is not set" in unset.value.message
    monkeypatch.setenv("HUB_TOKEN", "secretword")
    for plain in ("http://hub.example/x.git", "git@hub.example:x.git"):
        with pytest.raises(UsageError, match="a token is sent over https only"):
            GitLfsHub().files(plain, "", {"token_env": "HUB_TOKEN"}, RUN)


def test_an_upload_that_breaks_off_is_finished_by_the_next(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("x.git")
    release, listed = job(f"{server.url}/x.git", **OPTIONS, patience=2)
    git(release.folder, "config", "lfs.transfer.maxretries", "1")
    server.broken = True
    with pytest.raises(RemoteError):
        GitLfsHub().publish(release, RUN)
    assert git(bare, "for-each-ref") == ""
    server.broken = False
    GitLfsHub().publish(release, RUN)
    assert compare(listed.released(), GitLfsHub().files(release.target, "v1.0.0", OPTIONS, RUN)).ok


def test_git_lfs_trying_for_ever_is_stopped(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("x.git")
    server.ticket = "expired"
    release, _ = job(f"{server.url}/x.git", **OPTIONS, patience=2)
    with pytest.raises(RemoteError) as caught:
        GitLfsHub().publish(release, RUN)
    assert "made no progress and was stopped" in caught.value.message
    assert git(bare, "for-each-ref") == ""


def test_cancelling_stops_the_upload(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cancelled(SilentRun):
        def check_cancelled(self) -> None:
            if server.uploading.is_set():
                raise CancelledError("interrupted", "run again")

    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("x.git")
    release, _ = job(f"{server.url}/x.git", **OPTIONS)
    server.hold.clear()
    with pytest.raises(CancelledError):
        GitLfsHub().publish(release, Cancelled())
    assert git(bare, "for-each-ref") == ""
    server.hold.set()
    assert GitLfsHub().publish(release, RUN).revision == release.commit


def test_a_killed_publish_is_finished_by_the_next(
    job: Job, git: Git, server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_TOKEN", server.token)
    bare = server.repository("x.git")
    release, listed = job(f"{server.url}/x.git", **OPTIONS)
    program = (
        "import json, sys; from pathlib import Path; from hubkit_git_lfs import GitLfsHub;"
        "from hubkit.sdk import PublishInput, SilentRun; from hubkit.sdk.codec import decode;"
        "GitLfsHub().publish(decode(PublishInput, json.load(sys.stdin), 'job'), SilentRun())"
    )
    from hubkit.sdk.codec import encode

    server.hold.clear()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stdin is not None
        json.dump(encode(release), process.stdin)
        process.stdin.close()
        assert server.uploading.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert git(bare, "for-each-ref") == ""
    server.hold.set()
    receipt = GitLfsHub().publish(release, RUN)
    assert receipt.revision == git(bare, "rev-parse", "main").strip() == release.commit
    assert compare(listed.released(), GitLfsHub().files(release.target, "v1.0.0", OPTIONS, RUN)).ok
