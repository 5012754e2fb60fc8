"""`hubkit plugins new` and `check`: what is written passes as it stands; what a plugin does wrong
is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import hubkit
from hubkit.authoring import reference
from hubkit.cli import cli
from hubkit.sdk import KINDS, UsageError

SLOW = [
    pytest.param(kind, marks=pytest.mark.integration)
    for kind in ("hub", "engine", "exporter", "trainer")
]


@pytest.mark.parametrize("kind", ["dataset", "metric", "family", *SLOW])
def test_a_new_plugin_passes_its_check(kind: str, tmp_path: Path) -> None:
    folder = hubkit.new_plugin(kind, f"my_{kind}", tmp_path)
    report = hubkit.check_plugin(folder)
    assert report.ok, report
    states = {step.name: step.state for step in report.steps}
    assert states["import"] == states["contract"] == states["sdk only"] == states["life"] == "ok"
    assert ("worker" in states) == (kind in ("engine", "exporter", "trainer"))
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    package = f"hubkit_my_{kind}"
    assert {
        "pyproject.toml",
        "README.md",
        f"{package}/__init__.py",
        f"tests/test_{package}.py",
    } <= written
    assert not any(
        "{{" in path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in str(path)
    )


def test_every_kind_can_be_written() -> None:
    from hubkit.cli.plugins import KINDS as offered

    assert set(offered) == set(KINDS)


def test_names_that_are_none(tmp_path: Path) -> None:
    for name in ("Upper", "2nd", "my-bucket", "import", "json", "../x", ""):
        with pytest.raises(UsageError, match="not a name for a plugin"):
            hubkit.new_plugin("hub", name, tmp_path)
    hubkit.new_plugin("metric", "words", tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        hubkit.new_plugin("metric", "words", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


@pytest.mark.parametrize(
    ("old", "new", "step", "said"),
    [
        (
            "import csv",
            "import csv\nimport torch",
            "import",
            "imports torch: import them inside the methods",
        ),
        (
            'kind: ClassVar[str] = "dataset"',
            'kind: ClassVar[str] = "data"',
            "contract",
            "`kind` is 'data'",
        ),
        (
            "import csv",
            "import csv\nfrom hubkit.weights import merge",
            "sdk only",
            "__init__.py, line 6: hubkit.weights",
        ),
        ('delimiter: str = ","', "delimiter: str", "contract", "must have a default for delimiter"),
        ("str(number), (row", '"same", (row', "life", "ids repeat: ['same']"),
        (
            "                yield Record",
            "                import os; os._exit(9)\n                yield Record",
            "life",
            "exit code 9",
        ),
        (
            "                yield Record",
            "                import ctypes; ctypes.string_at(0)\n                yield Record",
            "life",
            "died of SIGSEGV",
        ),
        (
            "                yield Record",
            "                while True: pass\n                yield Record",
            "life",
            "hangs: not done",
        ),
    ],
)
def test_what_departs_from_the_contract_is_named(
    tmp_path: Path, old: str, new: str, step: str, said: str
) -> None:
    folder = hubkit.new_plugin("dataset", "pairs", tmp_path)
    source = folder / "hubkit_pairs" / "__init__.py"
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new, 1))
    report = hubkit.check_plugin(folder, seconds=6 if "while True" in new else 120)
    assert not report.ok
    (failed,) = (one for one in report.steps if one.state == "failed")
    assert failed.name == step and said in failed.message


def test_the_command(tmp_path: Path) -> None:
    runner = CliRunner()
    written = runner.invoke(
        cli,
        ["plugins", "new", "--kind", "metric", "--into", str(tmp_path), "words"],
        catch_exceptions=False,
    )
    assert written.exit_code == 0 and "hubkit plugins check words" in written.output
    checked = runner.invoke(
        cli, ["plugins", "check", str(tmp_path / "words"), "--json"], catch_exceptions=False
    )
    rows = [json.loads(line) for line in checked.output.splitlines()]
    assert rows[-1] == {"event": "result", "plugin": "hubkit_words:Words", "ok": True}
    with pytest.raises(UsageError, match="there is no plugin 'wrods'"):
        hubkit.check_plugin("wrods")


def test_the_reference_has_every_public_name() -> None:
    page = reference.sdk_page()
    sdk = __import__("hubkit.sdk", fromlist=["__all__"])
    assert all(f"### {name}" in page for name in sdk.__all__)
    assert "| `max_new_tokens` | `int` |  |" in page
    options = reference.plugin_page("llava_json")
    assert options.startswith("# llava_json\n\nA dataset") and "## Options" in options
    with pytest.raises(UsageError, match="there is no plugin 'nothing'"):
        reference.plugin_page("nothing")
