"""The command line as a user meets it: start-up, help, exit codes, JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubkit", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


def test_help_lists_every_verb_without_importing_any() -> None:
    code = (
        "import sys; from hubkit.__main__ import run; run(['--help']); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    for heavy in ("pydantic", "torch", "numpy", "rich", "hubkit.pipeline", "hubkit.spec"):
        assert f"'{heavy}'" not in loaded
    for verb in (
        "quickstart",
        "init",
        "plan",
        "release",
        "merge",
        "check",
        "smoke",
        "evaluate",
        "card",
        "track",
        "push",
        "verify",
    ):
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("relaese",),
        ("release", "--no-such-option"),
        ("merge", "a"),
        ("release", "nothing.yaml"),
        ("check", "/nonexistent"),
    ],
)
def test_wrong_usage_exits_2_with_a_remedy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr and done.stderr.strip()


def test_a_mistyped_verb_names_the_nearest(tmp_path: Path) -> None:
    assert "Did you mean 'release'?" in run("relaese", cwd=tmp_path).stderr


def test_errors_are_json_when_asked(tmp_path: Path) -> None:
    done = run("release", "nothing.yaml", "--json", cwd=tmp_path)
    (line,) = done.stdout.splitlines()
    error = json.loads(line)
    assert (error["event"], error["exit_code"], done.returncode) == ("error", 2, 2)
    assert error["remedy"]


def test_a_bug_is_told_with_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hubkit import __main__ as entry
    from hubkit.api import init as api

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def broken(path: Path) -> Path:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(api, "init", broken)
    assert entry.run(["init", "--template", str(tmp_path / "x.yaml")]) == 1
    said = capsys.readouterr().err
    (log,) = (tmp_path / "hubkit").glob("crash-*.log")
    assert str(log) in said and "ZeroDivisionError: oops" in log.read_text()


def test_plugins_are_listed() -> None:
    done = run("plugins", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = {(row["kind"], row["name"]): row["state"] for row in rows}
    bundled = {
        ("dataset", "foodieqa"),
        ("dataset", "hf_datasets"),
        ("dataset", "llava_json"),
        ("dataset", "sharegpt"),
        ("engine", "lmdeploy"),
        ("engine", "transformers"),
        ("family", "blip2"),
        ("family", "instructblip"),
        ("family", "internvl"),
        ("family", "internvl_hf"),
        ("family", "llava"),
        ("family", "llava_next"),
        ("family", "minigpt4"),
        ("family", "nextgpt"),
        ("family", "llava_onevision"),
        ("family", "qwen3_vl"),
        ("family", "qwen_vl"),
        ("family", "transformers_models"),
        ("hub", "git_lfs"),
        ("trainer", "nextgpt_stages"),
        ("trainer", "peft"),
        ("trainer", "xtuner"),
    }
    assert bundled <= set(found) and set(found.values()) == {"ok"}


def test_schema_is_json() -> None:
    assert json.loads(run("schema").stdout)["title"] == "release.yaml"


def test_the_reference_in_docs_is_up_to_date() -> None:
    code = (
        "import sys; sys.path.insert(0, 'docs'); import make_cli; "
        "sys.stdout.write(make_cli.reference())"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == made, "run `make docs`"
