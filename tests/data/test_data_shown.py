"""What the card or provenance.json would show of the data is known in prepare, not after hours of
training."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.data.shown import check_shown
from hubkit.errors import DataError
from hubkit.sdk import Record, Turn, write_jsonl

PRIVATE = {
    "an e-mail address": "ada@lovelace.org",
    "a path on somebody's machine": "/home/ada/x.png",
    "the name or address of a machine": "http://192.168.1.7/a",
    "looks like": "hf_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3x",
}
PLACES = ("id", "question", "held-out question", "held-out answer", "slice")


def record(number: int, **changes: str) -> Record:
    turns = (Turn("<image>\n" + changes.get("question", "Which?"), changes.get("answer", "3")),)
    return Record(
        changes.get("id", str(number)), ("a.png",), turns, {"shop": changes.get("slice", "A")}
    )


def written(folder: Path, place: str, text: str, at: int) -> dict[str, Any]:
    """Data of 3 records to train on and 5 held out; `text` is in the one of number `at`."""
    train, held = [record(number) for number in range(3)], [record(n) for n in range(3, 8)]
    key = place.split()[-1]
    if place in ("id", "question"):
        train[0] = record(0, **{key: f"see {text} now"})
    else:
        held[at] = record(3 + at, **{key: f"see\n{text}\nnow"})
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "holdout.jsonl", held)
    return {"train": folder / "train.jsonl", "holdout": folder / "holdout.jsonl"}


@pytest.mark.parametrize("place", PLACES)
def test_each_kind_in_each_place(place: str, tmp_path: Path) -> None:
    draw = random.Random(place)
    shown: dict[str, Any] = {"samples": True, "asked": False, "slices": ("shop",)}
    for says, text in PRIVATE.items():
        files = written(tmp_path, place, text, draw.randrange(5))
        with pytest.raises(DataError, match=says) as caught:
            check_shown(**files, **shown, author_email="me@b.org")
        assert text not in str(caught.value)
        assert {"id": "id", "slice": "shop"}.get(place, place[-7:].strip()) in caught.value.message
    mine = written(tmp_path, place, "me@b.org", 1)
    check_shown(**mine, **shown, author_email="me@b.org")


def test_what_is_not_shown_may_hold_it(tmp_path: Path) -> None:
    """As the remedy says."""
    mail = PRIVATE["an e-mail address"]
    files = written(tmp_path, "held-out question", mail, 0)
    check_shown(**files, samples=False, asked=False)
    with pytest.raises(DataError, match="held-out record '3', question 0") as caught:
        check_shown(**files, samples=False, asked=True)
    assert "`card.samples: 0`" in caught.value.remedy and "`smoke.prompts`" in caught.value.remedy
    check_shown(**written(tmp_path, "held-out answer", mail, 4), samples=False, asked=True)
    files["holdout"].unlink()
    check_shown(**files, samples=True, asked=True)


def test_a_release_says_so_before_it_trains(project: Path) -> None:
    source = project.parent / "data" / "digits.json"
    items = json.loads(source.read_text())
    for item in items:
        item["conversations"][0]["value"] += " Write to ada@lovelace.org."
    source.write_text(json.dumps(items))
    with pytest.raises(DataError, match="the release would show") as caught:
        hubkit.release(project, until="prepare")
    assert caught.value.message.count("\n") == 7  # one trained on, six held out
