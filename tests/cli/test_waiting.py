"""Something is visible at once on a terminal, and nothing of it elsewhere."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from testing.projects import BASE
from testing.terminal import hubkit

from hubkit.cli.waiting import waiting
from hubkit.reporting import amount


def test_a_command_says_at_once_that_it_is_at_work(tmp_path: Path) -> None:
    with hubkit("check", str(BASE), cwd=tmp_path) as terminal:
        shown = terminal.rest()
    assert shown.endswith("sound\r\n")
    *turns, last = shown.removesuffix("\r\n").split("\r\x1b[K")
    assert last == f"{BASE}: sound"
    assert all(turn[2:].startswith("hubkit check") for turn in turns[1:])


def test_programs_get_only_json(tmp_path: Path) -> None:
    with hubkit("check", str(BASE), "--json", cwd=tmp_path) as terminal:
        assert json.loads(terminal.rest())["problems"] == 0


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_first_word_takes_the_line_away(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubkit.cli.waiting._DELAY", 0)
    screen, out = Screen(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with waiting("hubkit merge"):
        while "hubkit merge" not in screen.getvalue():
            pass
        getattr(sys, stream).write("done\n")
        assert sys.stdout is out and sys.stderr is screen
    assert screen.getvalue().split("\r\x1b[K")[-1] == ("done\n" if stream == "stderr" else "")
    assert out.getvalue() == ("done\n" if stream == "stdout" else "")


def test_a_pipe_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    with waiting("hubkit merge"):
        assert sys.stderr is err


@pytest.mark.parametrize(
    ("done", "total", "unit", "told"),
    [
        (2_700_000, 2_700_000, "bytes", "2.7 of 2.7 MB"),
        (30_000_000, 4_411_571_040, "bytes", "0.0 of 4.4 GB"),
        (3, 900, "bytes", "3 of 900 bytes"),
        (1200, 4000, "records", "1,200 of 4,000 records"),
    ],
)
def test_bytes_have_units_that_people_read(done: float, total: float, unit: str, told: str) -> None:
    assert amount(done, total, unit) == told
