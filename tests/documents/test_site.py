"""The documentation site: that it builds, its two languages, the form of its pages, and that every
command in it exists."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from testing.pages import DOCS, ROOT, blocks, pages, released

from hubkit import cli

GENERATED = (
    "bundled-plugins.md",
    "cli.md",
    "events.md",
    "plugins/",
    "python-api.md",
    "release-file.md",
    "sdk.md",
)
ENGLISH_ONLY = {
    "bundled-plugins.md",
    "cli.md",
    "design.md",
    "events.md",
    "plugins.md",
    "python-api.md",
    "sdk.md",
}


@pytest.mark.parametrize("config", ["mkdocs.yml", "mkdocs.zh.yml"])
def test_the_site_builds_without_a_warning(config: str, tmp_path: Path) -> None:
    """Zensical's strict build ends with an error when a page or an anchor that is linked does not
    exist."""
    pytest.importorskip("zensical", reason="the documentation is built with Python 3.11 or newer")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / config, tmp_path)
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "-f", config]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    settings = yaml.safe_load((ROOT / config).read_text("utf-8"))
    for page in _in_nav(settings["nav"]):
        html = page.removesuffix("index.md") if page.endswith("index.md") else page[:-3]
        assert (tmp_path / settings["site_dir"] / html / "index.html").is_file(), page


def _in_nav(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    items = nav.values() if isinstance(nav, dict) else nav
    return [page for item in items for page in _in_nav(item)]  # type: ignore[attr-defined]


def test_each_page_is_in_the_navigation_and_the_two_languages_have_the_same() -> None:
    english, chinese = (
        _in_nav(yaml.safe_load((ROOT / name).read_text("utf-8"))["nav"])
        for name in ("mkdocs.yml", "mkdocs.zh.yml")
    )
    found = {path.relative_to(DOCS).as_posix() for path in pages("en")}
    assert {page for page in found if not page.startswith("plugins/")} == set(english)
    assert {path.relative_to(DOCS / "zh").as_posix() for path in pages("zh")} == set(chinese)
    assert [page for page in english if page not in ENGLISH_ONLY] == chinese


def test_a_chinese_page_has_the_blocks_of_the_english_one() -> None:
    def code(page: Path) -> list[tuple[str, bool, str]]:
        return [
            (block.language, bool(block.title), re.sub(r"summary: .*", "", block.text))
            for block in blocks(page)
            if block.language in ("bash", "python", "yaml", "dockerfile")
        ]

    for page in pages("zh"):
        assert code(page) == code(DOCS / page.relative_to(DOCS / "zh")), page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_form_of_the_pages(language: str) -> None:
    for page in pages(language):
        text = page.read_text("utf-8")
        assert text.startswith("# "), page
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)
        if not page.relative_to(DOCS).as_posix().removeprefix("zh/").startswith(GENERATED):
            for line in text.splitlines():
                assert len(line) <= 100 or line.startswith(("|", "![")), (page, line)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_exists_with_its_options(language: str) -> None:
    """In the blocks, run or not, and in the text and tables."""
    for page in pages(language):
        lines = [line for block in blocks(page) for line in block.commands()]
        lines += re.findall(r"`(hubkit [a-z][^`]*)`", page.read_text("utf-8"))
        for line in lines:
            words = line.split()
            while words and "=" in words[0]:
                words = words[1:]
            if words and words[0].rpartition("/")[2] == "hubkit":
                _check_command(shlex.split(" ".join(words), comments=True)[1:], page)


def _check_command(words: list[str], page: Path) -> None:
    command: click.Command | None = cli.cli.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None, (page, words)
    if isinstance(command, click.Group) and words[1:2] and words[1] in command.commands:
        command = command.commands[words[1]]
    options = {option for parameter in command.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= options | {"--help"}, (page, words)


def test_every_piece_of_a_release_file_is_valid(tmp_path: Path) -> None:
    """The Chinese pages show the same ones."""
    import hubkit

    for page in pages("en"):
        for block in blocks(page):
            if block.title == "release.yaml":
                path = tmp_path / "release.yaml"
                path.write_text(released(block.text), "utf-8")
                assert hubkit.load_spec(path).name.startswith("InternVL2"), page


def test_the_messages_of_the_troubleshooting_page_are_hubkits() -> None:
    page = (DOCS / "troubleshooting.md").read_text("utf-8").partition("goes wrong")[2]
    source = "".join(
        path.read_text("utf-8")
        for top in ("hubkit", "plugins", "templates")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".j2")
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    for row in re.findall(r"^\| (`[^|]*) \|", page.partition("Look at")[0], re.M):
        for message in re.findall("`([^`]+)`", row):
            assert message in source, message


@pytest.mark.parametrize("written", ["make_release_file", "make_models"])
def test_the_pages_that_are_written_are_up_to_date(written: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, 'docs'); import {written} as m; sys.exit([p.name "
        "for p, text in m.pages().items() if not p.is_file() or p.read_text('utf-8') != text] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make docs`: {done.stderr[-500:]}"
