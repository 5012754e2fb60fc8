"""Whatever is in a file: read by several processes it gives what one process finds in it."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from hubkit.data import parted
from hubkit.data.output import own_line
from hubkit.data.preparation import Preparation, PrepareSettings
from hubkit.errors import CancelledError, HubkitError
from hubkit.reporting import SilentReporter
from hubkit.sdk import Row
from hubkit.sdk.codec import encode

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="processes read parts on Linux only"
)


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parted, "LARGE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})


def record(draw: random.Random, number: int) -> dict[str, Any]:
    mark = "<image>\n" if number % 4 else ""
    turns = [
        {"from": "human", "value": f"{mark}How many? {draw.choice(('豆', 'a', '<b>'))}"},
        {"from": "gpt", "value": "\ud83c\udf5c" if number % 5 == 0 else str(draw.randrange(9))},
    ]
    item: dict[str, Any] = {"id": f"r{number}", "conversations": turns}
    return {**item, "image": f"{draw.randrange(6)}.png"} if mark else item


def spoil(draw: random.Random, item: dict[str, Any], other: dict[str, Any]) -> None:
    """One of the things that are wrong in data."""
    turns: list[dict[str, Any]] = item["conversations"]
    change = draw.randrange(8)
    if change == 0:
        item["id"] = other["id"]
    elif change == 1:
        item["image"] = draw.choice(("../a.png", "none.png", 7))
    elif change == 2:
        turns[1]["value"] = draw.choice(("", "\ud83c", None, "<video>"))
    elif change == 3:
        turns.reverse()
    elif change == 4:
        item["of"] = draw.choice(({"depth": [[[]]]}, 10**30, 1e-7, "a"))
    elif change == 5:
        item["loss_mask"] = [0, 1]
    elif change == 6:
        del item["id"]
    else:
        turns.pop()


def written(folder: Path, draw: random.Random) -> Path:
    """A dataset of 3 to 60 records, in one file of three with something amiss."""
    items = [record(draw, number) for number in range(draw.randrange(3, 60))]
    if draw.random() < 0.3:
        spoil(draw, draw.choice(items), draw.choice(items))
    lines, source = draw.random() < 0.5, folder / "data.json"
    if lines:
        text = "".join(json.dumps(item) + "\n" for item in items)
    else:
        text = json.dumps(items, indent=draw.choice((None, 1)))
    if draw.random() < 0.2:  # bytes of the file itself
        at, new = (
            draw.randrange(len(text)),
            draw.choice(('"', "\n", "}", ",", "é", '{"id":1,"id":2}')),
        )
        text = text[:at] + new + text[at + 1 :]
    source.write_text(text, "utf-8")
    return source


def outcome(source: Path, folder: Path, line: bool) -> tuple[str, Any, Any]:
    folder.mkdir()
    chosen = PrepareSettings(look="exist", holdout=1)
    work = Preparation(source, folder, chosen, line=own_line if line else None)
    try:
        work.read(SilentReporter())
        said = ""
    except HubkitError as error:
        said = str((type(error), error.message, error.remedy))
    lines = {path.name: path.read_bytes() for path in folder.iterdir()}
    return said, encode(work.report()), (lines, sorted(work.held), work.train)


def test_it_finds_what_one_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        (tmp_path / f"{number}.png").touch()
    read, together, draw = parted.read_in_parts, [], random.Random(7)

    def noted(*given: Any) -> bool:
        together.append(read(*given))
        return together[-1]

    for number in range(24):
        source, line = written(tmp_path, draw), number % 2 > 0
        monkeypatch.setattr("hubkit.data.preparation.read_in_parts", noted)
        found = outcome(source, tmp_path / f"parts{number}", line)
        monkeypatch.setattr("hubkit.data.preparation.read_in_parts", lambda *given: False)
        assert found == outcome(source, tmp_path / f"order{number}", line), source.read_text()
    assert 5 < sum(together) < 22


def test_the_sample_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, source = random.Random(1), tmp_path / "data.json"
    for number in range(6):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr("hubkit.data.taken.MEASURED", 20)
    source.write_text(json.dumps([record(draw, number) for number in range(90)]))
    found = outcome(source, tmp_path / "parts", True)
    monkeypatch.setattr(parted, "LARGE", 1 << 30)
    assert found == outcome(source, tmp_path / "order", True)


def test_an_interruption_ends_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, started = tmp_path / "data.json", []
    source.write_text(json.dumps([record(random.Random(0), number) for number in range(20)]))
    context = parted.get_context("fork")
    process = context.Process

    def noted(**given: Any) -> Any:
        started.append(process(**given))
        return started[-1]

    monkeypatch.setattr(context, "Process", noted)
    monkeypatch.setattr(parted, "_plain", lambda rows: time.sleep(9))

    class Interrupted(SilentReporter):
        def check_cancelled(self) -> None:
            raise CancelledError("interrupted", "")

    settings = PrepareSettings(look="exist")
    with pytest.raises(CancelledError):
        Preparation(source, tmp_path, settings, line=own_line).read(Interrupted())
    assert len(started) == 2 and not any(one.is_alive() for one in started)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json"]


def test_a_process_that_dies_leaves_the_work_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, parent = tmp_path / "data.json", os.getpid()
    (tmp_path / "0.png").touch()
    items = [record(random.Random(0), 4 * number) for number in range(20)]
    source.write_text(json.dumps(items))

    def dies(rows: list[Row]) -> list[Row]:
        return os.kill(os.getpid(), 9) if os.getpid() != parent else rows  # type: ignore[return-value]

    monkeypatch.setattr(parted, "_plain", dies)
    assert outcome(source, tmp_path / "out", True)[0] == ""
