"""The Dockerfile, read as data: it cannot be built without a container engine, but what it says can
be checked."""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]


@dataclass
class Stage:
    name: str
    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [argument for name, argument in self.instructions if name == word]

    def installed(self) -> list[str]:
        """What its `pip install` commands name, options left out."""
        commands = [part for run in self.all("RUN") for part in re.split(r"&&|;", run)]
        installs = [shlex.split(part) for part in commands if "pip install" in part]
        return [
            word
            for words in installs
            for word in words[words.index("install") + 1 :]
            if not word.startswith("-")
        ]


def _stages() -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first stage, and the stages by name."""
    text = re.sub(
        r"\\\n\s*",
        " ",
        "\n".join(
            x for x in (ROOT / "Dockerfile").read_text().splitlines() if not x.startswith("#")
        ),
    )
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(None, 1)
        if word == "FROM":
            image, _, name = rest.split()
            stages[name] = Stage(name, image)
        elif stages:
            stages[name].instructions.append((word, rest))
        else:
            assert word == "ARG"
            key, _, value = rest.partition("=")
            arguments[key] = value
    return arguments, stages


ARGUMENTS, STAGES = _stages()


def _copied(stage: Stage) -> list[str]:
    """The paths that a stage copies from the checkout."""
    copies = [shlex.split(copy) for copy in stage.all("COPY")]
    return [
        source for words in copies if not words[0].startswith("--from") for source in words[:-1]
    ]


def _project() -> dict[str, Any]:
    data: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return data


def test_targets_and_their_images() -> None:
    assert list(STAGES) == ["wheel", "environment", "publish", "train", "serve"]
    assert {STAGES[name].image for name in ("wheel", "environment", "publish")} == {
        "${PYTHON_IMAGE}"
    }
    assert STAGES["serve"].image == "train"
    assert ARGUMENTS["PYTHON_IMAGE"] == "python:3.12-slim"
    assert STAGES["train"].image == "${CUDA_IMAGE}" and ARGUMENTS["CUDA_IMAGE"].startswith(
        "nvidia/cuda:"
    )


def test_publish_installs_what_publishing_needs() -> None:
    """Every hub's client; neither torch nor what draws the charts of a release."""
    assert STAGES["publish"].installed() == []
    assert "$wheel[modelscope]" in STAGES["environment"].installed()
    core = " ".join(_project()["project"]["dependencies"])
    assert "huggingface-hub" in core
    assert not re.search(r"\b(torch|transformers|peft|accelerate|matplotlib)\b", core)


def test_serve_has_a_locked_environment() -> None:
    from hubkit.environments.locks import read_locks
    from hubkit.registry.plugins import plugins

    (built,) = STAGES["serve"].all("RUN")
    *command, name, option, variant = built.split()
    assert command == ["hubkit", "env", "build"] and option == "--variant"
    assert variant in {lock.variant for lock in read_locks(plugins().get("engine", name))}


def test_train_installs_the_extras_that_exist() -> None:
    (wanted,) = [word for word in STAGES["train"].installed() if "[" in word]
    extras = re.findall(r"\w+", wanted[wanted.index("[") :])
    assert extras == ["modelscope", "weights", "peft", "transformers"]
    assert set(extras) <= set(_project()["project"]["optional-dependencies"])


@pytest.mark.parametrize("name", ["publish", "train"])
def test_final_images_are_alike(name: str) -> None:
    stage = STAGES[name]
    assert stage.all("ENTRYPOINT") == ['["hubkit"]']
    assert stage.all("USER") == ["hubkit"] and stage.instructions[-1][0] == "ENTRYPOINT"
    (health,) = stage.all("HEALTHCHECK")
    assert health.endswith('CMD ["hubkit", "--version"]')
    assert f"VERSION={_project()['project']['version']}" in stage.all("ARG")
    (label,) = stage.all("LABEL")
    for key in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{key}=" in label
    system = next(run for run in stage.all("RUN") if "apt-get install" in run)
    assert {"git", "git-lfs"} <= set(system.split())
    assert "rm -rf /var/lib/apt/lists/*" in system and "git lfs install --system" in system
    assert all(
        "--constraint /tmp/hubkit/constraints.txt" in run
        for run in stage.all("RUN")
        if "pip install" in run
    )
    assert not re.search(
        r"(?i)token|password|secret", " ".join(stage.all("ENV") + stage.all("ARG"))
    )


@pytest.mark.parametrize("name", list(STAGES))
def test_copied_paths_exist_and_reach_the_builder(name: str) -> None:
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    for path in _copied(STAGES[name]):
        assert (ROOT / path).exists(), path
        assert path in allowed, path
    for copy in STAGES[name].all("COPY"):
        if copy.startswith("--from="):
            assert copy.split()[0].removeprefix("--from=") in STAGES


def test_the_wheel_is_built_from_all_that_it_needs() -> None:
    project, copied = _project(), _copied(STAGES["wheel"])
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        project["project"]["readme"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
        wheel["hooks"]["custom"]["path"],
    ]
    for path in needed:
        assert any(path == root or path.startswith(f"{root}/") for root in copied), path


def test_the_wheel_stage_builds(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "tests")
    for path in _copied(STAGES["wheel"]):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / "source" / path, ignore=ignored)
        elif (ROOT / path).exists():
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / path, tmp_path / "source" / path)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "wheels"),
        str(tmp_path / "source"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (tmp_path / "wheels").iterdir()
    assert fnmatch.fnmatch(built.name, "hubkit_vlm-*-py3-none-any.whl")


def test_hooks_run_from_the_virtual_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert [hook["id"] for hook in hooks] == ["ruff", "ruff-format", "mypy", "import-contracts"]
    assert all(
        hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks
    )
