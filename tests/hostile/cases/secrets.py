"""What must not be published, in the data, in the release file and in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import BASE, CHECK, PLAN, RELEASE, Case, base, project

KIND = "secrets"

_TOKEN = "hf_" + "aB3" * 12
_UNTIL = ("release", "release.yaml", "--until", "prepare")
_FINDING = 3
Change = Callable[[dict[str, Any]], object]


def _records(change: Change) -> Callable[[Path], None]:
    return lambda folder: project(folder, lambda record, _: change(record))


def _turn(number: int, text: str) -> Change:
    def change(record: dict[str, Any]) -> None:
        record["conversations"][number]["value"] += f" {text}"

    return change


def _release(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        project(folder)
        (folder / "release.yaml").write_text(RELEASE + text)

    return make


def _file(name: str, data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (base(folder) / name).write_bytes(data)

    return make


def _entry(name: str, key: str, value: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        data = json.loads((BASE / name).read_text("utf-8"))
        (base(folder) / name).write_text(json.dumps({**data, key: value}))

    return make


def _twice(folder: Path) -> None:
    shutil.copy(base(folder) / "config.json", folder / "base" / f"{_TOKEN}.json")


CASES = [
    *(
        Case(f"a record's {what}", _UNTIL, _records(change), says="may not be published")
        for what, change in {
            "question": _turn(0, _TOKEN),
            "answer": _turn(1, _TOKEN),
            "id": lambda record: record.update(id=f"{record['id']} {_TOKEN}"),
            "question, an address": _turn(0, "ada.lovelace@analytical-engines.com"),
            "answer, a path": _turn(1, "/home/ada/run"),
            "answer, a machine": _turn(1, "http://gpu07:8000/v1"),
        }.items()
    ),
    *(
        Case(f"release.yaml: {text.split(':')[0]}", _UNTIL, _release(text), says="not be published")
        for text in (
            f"card: {{title: a {_TOKEN}}}\n",
            f"card: {{summary: a {_TOKEN}}}\n",
            f"smoke: {{prompts: [a {_TOKEN}]}}\n",
            f"smoke: {{prompt_differs: a {_TOKEN}}}\n",
        )
    ),
    *(
        Case(f"{name}: {what}", CHECK, make, exits=_FINDING, says="looks like")
        for name, what, make in (
            ("config.json", "a value", _entry("config.json", "note", _TOKEN)),
            ("config.json", "a key", _entry("config.json", _TOKEN, "x")),
            ("generation_config.json", "a value", _entry("generation_config.json", "n", _TOKEN)),
            ("notes.md", "text", _file("notes.md", f"a {_TOKEN}".encode())),
            ("notes.md", "UTF-16", _file("notes.md", f"a {_TOKEN}".encode("utf-16"))),
            ("notes.md", "after a NUL", _file("notes.md", b"\0 " + _TOKEN.encode())),
            ("a binary", "bytes", _file("a.dat", b"\xff\0\xfe " + _TOKEN.encode() + b"\0\xff")),
            ("a binary", "UTF-16", _file("a.dat", b"\xff\0\xfe\xff" + _TOKEN.encode("utf-16-le"))),
            ("a name", "of a file", _twice),
        )
    ),
    Case("--set with a title", (*PLAN, "--set", "tag=" + _TOKEN + "/"), _release("")),
]
