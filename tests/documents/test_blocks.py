"""What the pages show is run: their commands in order, in one folder, and their Python, which also
passes strict mypy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing.pages import DOCS, ROOT, Block, blocks, pages
from testing.projects import BASE

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("pages")]

FIRST, LAST = DOCS / "quickstart.md", DOCS / "troubleshooting.md"
OTHERS = [page for page in pages("en") if page not in (FIRST, LAST, DOCS / "plugins.md")]
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**ENVIRONMENT, "HUBKIT_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "bash" and not block.title]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The folder that the pages speak of, after the quick start: a base under the name of the real
    one, pictures, questions, the release file and what it made."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(
        BASE, folder / "models" / "InternVL2-2B", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "data" / "images").mkdir(parents=True)
    records = json.loads((digits / "digits.json").read_text("utf-8"))[:24]
    for number, record in enumerate(records):
        record["cuisine"] = ("Sichuan", "Hunan")[number % 2]
        shutil.copy2(digits / "images" / record["image"], folder / "data" / "images")
    (folder / "data" / "train.json").write_text(json.dumps(records), "utf-8")
    for block in blocks(FIRST):
        if block.title == "release.yaml":
            (folder / "release.yaml").write_text(block.text, "utf-8")
        elif block.language == "bash" and not block.title:
            run(block.text, folder)
    (adapter,) = folder.glob(".hubkit/*/train/**/adapter_config.json")
    shutil.copytree(adapter.parent, folder / "adapter")
    return folder


@pytest.mark.parametrize("page", [page for page in OTHERS if runnable(page)], ids=lambda p: p.stem)
def test_the_commands_of_a_page_work(page: Path, world: Path) -> None:
    for block in runnable(page):
        run(block.text, world)


def test_the_last_page_takes_the_release_back(world: Path) -> None:
    for block in runnable(LAST):
        run(block.text, world)
    assert run("git -C hub/InternVL2-2B-Food.git tag", world) == ""


def test_the_python_of_the_pages_runs_and_is_typed(world: Path) -> None:
    files = []
    for number, block in enumerate(blocks(DOCS / "python.md")):
        if block.language == "python":
            files.append(world / f"block_{number}.py")
            files[-1].write_text(block.text, "utf-8")
    said = [run(f"python {path.name}", world) for path in files]
    assert "exact_match" in said[0] and "prepare" in said[1]
    assert "did you mean" in said[2] and said[3].strip()
    typed = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.returncode == 0, typed.stdout
