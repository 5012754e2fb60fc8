"""`--quiet` and `--verbose`: before or after the command, for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from testing.projects import make_project

from hubkit import __main__ as entry
from hubkit.cli import cli


@pytest.fixture
def spec(tmp_path: Path, digits: Path) -> str:
    return str(make_project(tmp_path / "project", digits))


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_leaves_out_progress(
    spec: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    release = ["release", spec, "--until", "prepare"]
    quiet = ["-q", *release] if place == "before" else [*release, "--quiet"]
    assert entry.run(quiet) == 0
    assert capsys.readouterr().err == ""
    assert entry.run(release) == 0
    assert "prepare (unchanged)" in capsys.readouterr().err


def test_quiet_leaves_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["check", "nothing", "-q"]) == 2
    assert "remedy:" in capsys.readouterr().err


def test_verbose_says_where_an_error_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["check", "nothing", "--verbose"]) == 2
    said = capsys.readouterr().err
    assert "weights/model.py" in said and "remedy:" in said


TOKEN = "hf_abcdefghijklmnopqrstuvwxyz0123456789"
LOGS = f"""
import logging, sys
from hubkit import __main__ as entry
sys.argv = ["hubkit", "check", "nothing", "-v"]
try:
    entry.main()
except SystemExit:
    logging.getLogger("client").info("PUT https://ann:pw@hub.example/a?X-Sig=0a1b with {TOKEN}")
"""


def test_verbose_shows_logs_without_credentials() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS],
        env={**os.environ, "HF_TOKEN": TOKEN},
        capture_output=True,
        text=True,
    )
    assert done.stderr.endswith("client: PUT https://***@hub.example/a?*** with ***\n")


def test_every_command_has_both() -> None:
    top = click.Context(cli)
    for verb in cli.list_commands(top):
        command = cli.get_command(top, verb)
        assert command is not None
        names = [option for one in command.params for option in one.opts]
        assert names.count("--quiet") == names.count("--verbose") == 1
