"""What people copy into their CI, and the repository's own: its files are sound, and the shell in
them works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from testing.pages import DOCS, ROOT, blocks
from testing.projects import BASE

import hubkit

NAME = "InternVL2-Tiny-CI"


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_python_that_is_supported_is_tested() -> None:
    versions = read(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_workflows_have_no_more_rights_than_they_need() -> None:
    for name in ("ci", "release"):
        assert read(f".github/workflows/{name}.yml")["permissions"] == {"contents": "read"}
    jobs = read(".github/workflows/release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi" and "secrets." not in str(jobs)


def test_a_tag_that_is_not_the_version_is_not_published(tmp_path: Path) -> None:
    (step,) = (
        one
        for one in read(".github/workflows/release.yml")["jobs"]["build"]["steps"]
        if "agree" in one.get("name", "")
    )
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [1.2.3] - 2026-01-31\n")
    for tag, code in (("v1.2.3", 0), ("v1.2.4", 1), ("v1x2.3", 1)):
        done = shell(step["run"], tmp_path, GITHUB_REF_NAME=tag)
        assert done.returncode == code, tag


def test_the_action_and_the_template_take_the_same_steps() -> None:
    action = read("action.yml")
    steps = action["runs"]["steps"]
    called = [re.findall(r'bash "\$HERE/ci/steps" (\w+)', step["run"]) for step in steps]
    assert called == [["install"], ["check"], ["rehearse"], ["release"]]
    assert steps[3]["if"] == "inputs.publish == 'true'"
    inputs = {f"inputs.{name}" for name in action["inputs"]}
    assert set(re.findall(r"\$\{\{ (inputs\.[\w-]+) \}\}", str(steps))) == inputs - {
        "inputs.publish"
    }
    template = read("ci/gitlab.yml")
    jobs = [job for name, job in template.items() if name.startswith("hubkit-")]
    assert [job["stage"] for job in jobs] == template["stages"] == ["check", "rehearse", "release"]
    assert jobs[2]["rules"][0]["when"] == "manual"
    for page in (DOCS / "how-to" / "ci.md", DOCS / "zh" / "how-to" / "ci.md"):
        (workflow,) = (one.text for one in blocks(page) if one.title.startswith(".github"))
        given = yaml.safe_load(workflow)["jobs"]["release"]["steps"][2]["with"]
        assert set(given) <= set(action["inputs"])


def test_a_wrong_step_is_refused(tmp_path: Path) -> None:
    done = shell(f"bash {ROOT}/ci/steps deploy", tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "no step deploy: install, check, rehearse or release\n",
    )


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ci") / NAME
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    hubkit.track(folder)
    return folder


@pytest.mark.integration
def test_the_steps_of_the_action_publish_a_folder(tracked: Path, tmp_path: Path) -> None:
    """All but the first, which installs hubkit. The last event is the step's output."""
    outputs = tmp_path / "outputs"
    variables = {
        "FOLDER": str(tracked),
        "TO": f"git:{tmp_path}/{NAME}.git",
        "HERE": str(ROOT),
        "GITHUB_OUTPUT": str(outputs),
    }
    for step in read("action.yml")["runs"]["steps"][1:]:
        done = shell(step["run"], tmp_path, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
    assert outputs.read_text("utf-8").startswith('result={"event": "result"')
    assert (tmp_path / f"{NAME}.git" / "refs" / "heads" / "main").is_file()


@pytest.mark.integration
def test_a_folder_with_a_fault_stops_at_the_first_step(tracked: Path, tmp_path: Path) -> None:
    shutil.copytree(tracked, tmp_path / NAME)
    (tmp_path / NAME / "conversation.py").unlink()
    step = read("action.yml")["runs"]["steps"][1]["run"]
    done = shell(step, tmp_path, FOLDER=str(tmp_path / NAME), HERE=str(ROOT))
    assert done.returncode == 3 and "conversation.py" in done.stdout + done.stderr


@pytest.mark.integration
def test_the_hook_checks_the_folders_of_changed_files(tracked: Path, tmp_path: Path) -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system"}]}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "notes.md").write_text("no model\n")
    shutil.copytree(tracked, tmp_path / "models" / NAME, ignore=shutil.ignore_patterns(".git"))
    command = "git init -q . && git add -A && pre-commit run --all-files"
    home = str(tmp_path / "pre-commit")
    done = shell(command, tmp_path, PRE_COMMIT_HOME=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "models" / NAME / "conversation.py").unlink()
    done = shell(command, tmp_path, PRE_COMMIT_HOME=home)
    assert done.returncode == 1 and "conversation.py" in done.stdout
