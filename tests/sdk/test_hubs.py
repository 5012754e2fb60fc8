"""What hubs share, on its own: downloads that are whole or not there, manifests, tokens, changes
whose answer is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hubkit.errors import EnvironmentFailure, HubkitError, RefusedError, RemoteError, UsageError
from hubkit.sdk import Journal, SilentRun
from hubkit.sdk.hubs import (
    ApiOptions,
    ApiSession,
    Doubt,
    Token,
    explain,
    is_manifest,
    named_token,
    refuse_strangers,
    whole,
)
from hubkit.sdk.journal import read
from hubkit.sdk.retry import Patience


def test_a_download_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    with pytest.raises(RemoteError), whole(out) as folder:
        folder.mkdir()
        raise RemoteError("the hub failed", "run again")
    assert list(out.parent.iterdir()) == []
    with whole(out) as folder:
        folder.mkdir()
        (folder / "x").write_text("1")
    assert [path.name for path in out.iterdir()] == ["x"] and list(out.parent.iterdir()) == [out]
    with pytest.raises(UsageError, match="exists"), whole(out):
        pass


def test_only_a_release_has_a_release_s_manifest() -> None:
    assert is_manifest(
        json.dumps(dict.fromkeys(("schema", "name", "tag", "created", "files"), "")).encode()
    )
    assert not any(
        map(
            is_manifest,
            (b'{"name": "a web app", "files": []}', b"[]", b"\xff", b"", b"oid sha256:1"),
        )
    )


def test_strangers_are_named() -> None:
    refuse_strangers("hub", "main", ["README.md", "LICENSE"], is_release=False, replace=False)
    refuse_strangers("hub", "main", ["a.py"], is_release=False, replace=True)
    with pytest.raises(RefusedError, match=r"no release: README\.md, a\.py") as caught:
        refuse_strangers("hub", "main", ["a.py", "README.md"], is_release=False, replace=False)
    assert "replace: true" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "two words", "\n"])
def test_a_token_file_holds_one_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(EnvironmentFailure, match="does not hold one token"):
        named_token("", str(tmp_path / "token"))


class Trial(ApiSession):
    """A hub whose errors are ConnectionError (lost) and FileExistsError (overtaken)."""

    log_in = "log in"
    place = "https://hub.example/a/b"  # type: ignore[assignment]

    def explained(self, error: BaseException) -> HubkitError:
        return explain(error, self.place, self.token, self.journal.done, lambda *_: None, ())

    def doubt(self, error: BaseException) -> Doubt:
        return {ConnectionError: "lost", FileExistsError: "overtaken"}.get(type(error), "none")  # type: ignore[return-value]


def session(journal: Path) -> Trial:
    run = SilentRun()
    common: dict[str, Any] = {
        "api": None,
        "run": run,
        "endpoint": "https://hub.example",
        "repository": "a/b",
    }
    common |= {
        "token": Token("canary", "here"),
        "patience": Patience(1, run),
        "journal": Journal(journal, "t", "a/b"),
    }
    return Trial(**common, options=ApiOptions())


def test_a_change_is_asked_for_before_it_is_repeated(tmp_path: Path) -> None:
    at, asked = session(tmp_path / "journal"), []

    def act() -> str:
        asked.append("act")
        raise ConnectionError("gone, with canary")

    def landed() -> str | None:
        asked.append("landed")
        return "commit" if len(asked) == 4 else None

    assert at.change("commit", act, landed) == "commit" and asked == [
        "act",
        "landed",
        "act",
        "landed",
    ]
    assert read(tmp_path / "journal")[-1]["answer"] == "lost; the hub has it"


@pytest.mark.parametrize("kind", [FileExistsError, PermissionError])
def test_a_change_that_failed_is_not_repeated(tmp_path: Path, kind: type[Exception]) -> None:
    at, acts = session(tmp_path / "journal"), []

    def act() -> str:
        acts.append(1)
        raise kind("no, with canary")

    with pytest.raises(RemoteError, match="nothing was changed before") as caught:
        at.change("commit", act, lambda: None)
    assert len(acts) == 1 and "canary" not in str(caught.value)
