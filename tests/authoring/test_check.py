"""`hubkit plugins check`: what a package brings, where a trainer or an engine is driven, and what
it survives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import hubkit
from hubkit.authoring import Report
from hubkit.cli import cli
from hubkit.sdk import UsageError
from hubkit.sdk.install import install


def states(report: Report) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def said(report: Report, name: str) -> str:
    return next(step.message for step in report.steps if step.name == name)


def edit(folder: Path, old: str, new: str, file: str = "__init__.py") -> None:
    (source,) = folder.glob(f"hubkit_*/{file}")
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new, 1), "utf-8")


# --- what a plugin does while it is driven
# ----------------------------------------------------------------------------

RECORD = "                yield Record"


@pytest.mark.parametrize(
    ("old", "new", "step", "says"),
    [
        ("import csv", "import ctypes, csv\nctypes.string_at(0)", "import", "died of SIGSEGV"),
        (
            "import csv",
            "import csv, sys\nsys.exit(3)",
            "import",
            "ended the process with exit code 3",
        ),
        (
            "import csv",
            "import csv\nraise RuntimeError('on import')",
            "import",
            "RuntimeError: on import",
        ),
        (
            RECORD,
            f"                raise RuntimeError('half way')\n{RECORD}",
            "life",
            "RuntimeError: half way (__init__.py, line 40, in records)",
        ),
        (RECORD, f"                raise MemoryError\n{RECORD}", "life", "MemoryError"),
        (
            "Record(str(number), (",
            "Record(str(number).encode(), (",
            "life",
            "bytes cannot travel between hubkit and a worker",
        ),
        (
            "Record(str(number), (",
            "Record(str(number) + '\\ud800', (",
            "life",
            "holds half a surrogate pair",
        ),
        ("Record(str(number), (", "Record(number, (", "life", "id must be a text, not 0"),
        (RECORD, f"                __import__('os').write(1, bytes(range(256)))\n{RECORD}", "", ""),
        (
            RECORD,
            f"                __import__('os').write(2, b'x' * 100_000_000)\n{RECORD}",
            "",
            "",
        ),
    ],
)
def test_the_host_survives_and_says_what_happened(
    tmp_path: Path, old: str, new: str, step: str, says: str
) -> None:
    folder = hubkit.new_plugin("dataset", "pairs", tmp_path)
    edit(folder, old, new)
    report = hubkit.check_plugin(folder, seconds=120)
    failed = [one for one in report.steps if one.state == "failed"]
    assert [one.name for one in failed] == ([step] if step else [])
    assert all(says in one.message for one in failed)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "step", "says"),
    [
        ("import os; os._exit(7)", "life", "ended the process with exit code 7"),
        ("import ctypes; ctypes.string_at(0)", "life", "died of SIGSEGV"),
        ("while True: pass", "life", "hangs: not done within 12 s"),
        ("return {'adapter': 1}", "life", "returned dict, the contract says TrainOutput"),
        ("raise PluginError('my own', 'fix it')", "life", "my own (fix it)"),
    ],
)
def test_a_trainer_that_fails_on_its_way(tmp_path: Path, body: str, step: str, says: str) -> None:
    folder = hubkit.new_plugin("trainer", "steps", tmp_path)
    edit(
        folder,
        "        options = decode",
        f"        from hubkit.sdk import PluginError\n        {body}\n        options = decode",
    )
    report = hubkit.check_plugin(folder, seconds=12 if "while" in body else 120)
    failed = {one.name: one.message for one in report.steps if one.state == "failed"}
    assert says in failed[step]


# --- what its package brings
# ------------------------------------------------------------------------------------------

CASES = """
from hubkit.sdk.testing import MetricCase, Undriven


def case(folder):
    return {cases}
"""


@pytest.mark.parametrize(
    ("cases", "state", "says"),
    [
        ("{'words': MetricCase([('a', ['a'], 1.0)])}", "ok", "1 answers scored"),
        (
            "{'other': MetricCase([('a', ['a'], 1.0)])}",
            "skipped",
            "its `case` has nothing for 'words'",
        ),
        ("Undriven('it needs a piano')", "skipped", "it needs a piano"),
        ("{'words': Undriven('it needs a piano')}", "skipped", "it needs a piano"),
        ("7", "failed", "case returned int, a metric brings MetricCase"),
        ("MetricCase([('a', ['a'], 0.5)])", "failed", "got 1.0, expected 0.5"),
    ],
)
def test_a_case_by_name_or_a_reason(tmp_path: Path, cases: str, state: str, says: str) -> None:
    folder = hubkit.new_plugin("metric", "words", tmp_path)
    (folder / "hubkit_words" / "conformance.py").write_text(CASES.format(cases=cases), "utf-8")
    report = hubkit.check_plugin(folder)
    assert states(report)["life"] == state and says in said(report, "life")


def test_a_case_that_cannot_be_imported_is_no_missing_one(tmp_path: Path) -> None:
    folder = hubkit.new_plugin("metric", "words", tmp_path)
    (folder / "hubkit_words" / "conformance.py").write_text(
        "import no_such_module_at_all\n", "utf-8"
    )
    report = hubkit.check_plugin(folder)
    assert states(report)["life"] == "failed" and "No module named 'no_such_module_at_all'" in said(
        report, "life"
    )


def test_a_plugin_beside_others_in_a_folder(tmp_path: Path) -> None:
    folder = hubkit.new_plugin("metric", "words", tmp_path)
    project = folder / "pyproject.toml"
    line = 'words = "hubkit_words:Words"\n'
    project.write_text(
        project.read_text("utf-8").replace(line, line + 'more = "hubkit_words:More"\n'), "utf-8"
    )
    with pytest.raises(UsageError, match="2 entry points") as caught:
        hubkit.check_plugin(folder)
    assert "check each by its name" in caught.value.remedy


# --- where it is driven
# -----------------------------------------------------------------------------------------------


def test_a_trainer_whose_packages_are_elsewhere_says_what_it_needs(tmp_path: Path) -> None:
    folder = hubkit.new_plugin("trainer", "steps", tmp_path)
    edit(folder, 'modules=(), extra=""', 'modules=(("no_such_module_at_all", "2"),), extra="peft"')
    report = hubkit.check_plugin(folder)
    assert report.ok
    driven = {name: state for name, state in states(report).items() if state == "skipped"}
    assert driven == dict.fromkeys(("environment", "life", "worker", "cancellation"), "skipped")
    message = said(report, "environment")
    assert message.startswith(
        f"needs packages that are not here: `{install('peft')}`, or `hubkit plugins check "
        "steps --env"
    )
    assert "no_such_module_at_all: ModuleNotFoundError" in message
    asked = hubkit.check_plugin(folder, environment={"python": sys.executable})
    assert states(asked)["environment"] == "failed" and not asked.ok


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    folder = hubkit.new_plugin("engine", "counter", tmp_path)
    arguments = [
        "plugins",
        "check",
        str(folder),
        "--environment",
        str(tmp_path / "nothing"),
        "--deadline",
        "2",
    ]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code != 0
    report = hubkit.check_plugin(folder, environment={"python": str(tmp_path / "nothing")})
    assert "there is no interpreter" in said(report, "environment")
    assert states(report)["life"] == "skipped"


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["trainer", "engine"])
def test_in_another_interpreter(kind: str, tmp_path: Path) -> None:
    folder = hubkit.new_plugin(kind, "elsewhere", tmp_path)
    report = hubkit.check_plugin(folder, environment={"python": sys.executable})
    assert report.ok, report
    assert {states(report)[name] for name in ("environment", "life", "worker", "cancellation")} == {
        "ok"
    }


@pytest.mark.integration
def test_a_machine_that_cannot_is_no_fault_of_the_plugin(tmp_path: Path) -> None:
    folder = hubkit.new_plugin("engine", "counter", tmp_path)
    raising = (
        "        from hubkit.sdk import EnvironmentFailure\n        raise "
        "EnvironmentFailure('no GPU', 'get one')\n"
    )
    edit(folder, "        records = list", f"{raising}        records = list")
    report = hubkit.check_plugin(folder)
    assert report.ok and states(report)["life"] == "skipped"
    assert said(report, "life") == "no GPU (get one)"
