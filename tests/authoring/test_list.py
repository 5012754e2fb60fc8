"""`hubkit plugins list` and `check` beside plugins that take a process along when they are
imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hubkit

BAD = {
    "segfaults": (
        "import ctypes; ctypes.string_at(0)",
        "dies of a segmentation fault while it is imported",
    ),
    "raises": ("raise RuntimeError('on import')", "does not load: RuntimeError: on import"),
    "floods": (
        "while True: print('x' * 100_000)",
        "floods its output: more than 1,048,576 bytes while it is imported",
    ),
    "exits": ("import os; os._exit(9)", "ends the process while it is imported (exit code 9)"),
    "future": (
        "class Plugin:\n    kind, name, sdk, version = 'metric', 'future', '1.99', '1'",
        "written for SDK 1.99",
    ),
}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """hubkit in a process that finds the bad plugins, and a good one called `pairs`."""
    site = tmp_path / "site"
    site.mkdir()
    for name, (text, _) in BAD.items():
        (site / f"bad_{name}.py").write_text(text + "\n", "utf-8")
    good = hubkit.new_plugin("dataset", "pairs", tmp_path)
    (good / "hubkit_pairs").rename(site / "hubkit_pairs")
    points = {**{name: f"bad_{name}:Plugin" for name in BAD}, "pairs": "hubkit_pairs:Pairs"}
    for name, value in points.items():
        info = site / f"{name}_dist-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.5\n", "utf-8"
        )
        (info / "entry_points.txt").write_text(f"[hubkit.plugins]\n{name} = {value}\n", "utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "HUBKIT_HOME": str(tmp_path / "home"),
        "COLUMNS": "300",
    }

    def hubkit_(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hubkit", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    return hubkit_


def test_all_are_listed_with_the_reason(run: Run) -> None:
    done = run("plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    for name, (_, reason) in BAD.items():
        assert rows[name]["state"].startswith("broken: ") and reason in rows[name]["state"]
        assert (rows[name]["distribution"], rows[name]["version"]) == (f"{name}-dist", "1.5")
    assert (rows["pairs"]["state"], rows["pairs"]["kind"]) == ("ok", "dataset")
    assert {rows[name]["state"] for name in ("internvl", "peft", "huggingface")} == {"ok"}
    table = run("plugins", "list").stdout
    assert all(reason[:40] in table for _, reason in BAD.values())


def test_the_good_one_is_checked_and_a_bad_one_explained(run: Run) -> None:
    assert run("plugins", "check", "pairs").returncode == 0
    segfault = run("plugins", "check", "segfaults", "--json")
    steps = [json.loads(line) for line in segfault.stdout.splitlines()]
    assert (
        segfault.returncode == 4
        and steps[0]["name"] == "import"
        and "died of SIGSEGV" in steps[0]["message"]
    )
    flood = run("plugins", "check", "exits")
    assert flood.returncode == 4 and "ended the process with exit code 9" in flood.stdout


def test_its_page_says_why_a_broken_one_has_none(run: Run) -> None:
    done = run("plugins", "docs", "segfaults")
    assert done.returncode == 4 and "dies of a segmentation fault" in done.stderr
