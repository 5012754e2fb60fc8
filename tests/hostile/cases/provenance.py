"""What a release says of itself in provenance.json: the truth, and no more than it must."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import PLAN, RELEASE, Case, adapter, project

KIND = "provenance"

_NAME = "InternVL2-Hostile"
_PACKAGE = ("release", "release.yaml", "--until", "package")
_ASKS = """\
train: {adapter: adapter}
smoke: {engine: openai, images: 1}
evaluate: {engine: openai, limit: 1}
"""
_TOKEN = "hf_" + "aB3" * 12


def _says(text: str) -> tuple[int, dict[str, str], bytes]:
    """A server that has the base and the release's model, and gives this answer to all."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    models = [{"id": "base"}, {"id": _NAME}]
    body = {"data": models, "choices": [{**choice, "finish_reason": "stop"}]}
    return 200, {"content-type": "application/json"}, json.dumps(body).encode()


def _release(*places: str, more: str = "") -> Callable[[Path], None]:
    """A release whose adapter is there; secrets lie at `places`."""

    def make(folder: Path) -> None:
        project(folder)
        adapter(folder)
        for place in places:
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"TOKEN={_TOKEN}\n")
        text = (RELEASE + _ASKS + more).replace("FOLDER", str(folder))
        (folder / "release.yaml").write_text(text)

    return make


def _published(folder: Path) -> tuple[dict[str, Any], str]:
    """provenance.json, and the text of every file of the package."""
    (path,) = (folder / ".hubkit" / _NAME / "package").rglob("provenance.json")
    files = [one for one in path.parent.rglob("*") if one.is_file() and ".git" not in one.parts]
    return json.loads(path.read_text("utf-8")), "".join(
        one.read_bytes().decode("utf-8", "replace") for one in files
    )


def _without(*words: str) -> Callable[[Path], None]:
    """No file of the package has one of the words, nor the place of its making."""

    def after(folder: Path) -> None:
        _, everything = _published(folder)
        found = [word for word in (*words, str(folder)) if word in everything]
        assert not found, f"the package has {found}"

    return after


def _true(folder: Path) -> None:
    """Each digest is that of the file."""
    made, _ = _published(folder)
    for kind, place in (("base", folder / "base"), ("adapter", folder)):
        for name, digest in made[kind].items():
            assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest, name
    names = {path.name for path in (folder / "base").iterdir()}
    assert {"config.json", "model.safetensors"} <= names & set(made["base"]), made["base"]


def _interpreter(folder: Path) -> None:
    _release()(folder)
    text = (folder / "release.yaml").read_text()
    named = f"images: 1, environment: {{python: {sys.executable}}}"
    (folder / "release.yaml").write_text(text.replace("images: 1", named))


def _named_by_the_user(folder: Path) -> None:
    made, everything = _published(folder)
    assert made["settings"]["smoke"]["environment"] == "named by the user", made["settings"]
    assert sys.executable not in everything


def _absolute(folder: Path) -> None:
    _release()(folder)
    text = (folder / "release.yaml").read_text()
    for key, name in (("path", "base"), ("path", "data.json"), ("adapter", "adapter")):
        text = text.replace(f"{key}: {name}", f"{key}: {folder / name}")
    (folder / "release.yaml").write_text(text)


def _packaged(
    name: str,
    make: Callable[[Path], None],
    after: Callable[[Path], None],
    **variables: str,
) -> Case:
    given = {"OPENAI_BASE_URL": "URL", **variables}
    return Case(name, _PACKAGE, make, 0, variables=given, answer=_says("one"), after=after)


CASES = [
    _packaged("digests of what was read", _release(), _true),
    *(
        _packaged(f"a stray {place}", _release(place), _without(Path(place).name, _TOKEN))
        for place in ("base/.env", "base/secret_notes.txt", "base/runs/events.out", "adapter/.env")
    ),
    _packaged("a key in the environment", _release(), _without(_TOKEN), OPENAI_API_KEY=_TOKEN),
    _packaged("an interpreter of the user's", _interpreter, _named_by_the_user),
    _packaged("absolute paths", _absolute, _without()),
    _packaged(
        "what is done after the package",
        _release(more="verify: {deep: false}\nupload: {connections: 7}\n"),
        _without('"deep"', '"connections"'),
    ),
    Case(
        "an answer that is a token",
        _PACKAGE,
        _release(),
        3,
        variables={"OPENAI_BASE_URL": "URL"},
        answer=_says(f"It is {_TOKEN}"),
    ),
    *(
        Case(name, PLAN, _release(more=more), says=says)
        for name, more, says in (
            ("a token in a setting", f"card: {{summary: {_TOKEN}}}\n", "card.summary"),
            ("an address in a setting", "card: {limits: ask bob@engines.org}\n", "card.limits"),
            ("a path in a setting", "card: {title: /home/ada/run}\n", "card.title"),
        )
    ),
]
