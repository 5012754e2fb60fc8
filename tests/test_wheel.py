"""What an installation holds: every plugin, template and the quickstart, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = (
    "compressed",
    "foodieqa",
    "gguf",
    "git_lfs",
    "hf_datasets",
    "blip2",
    "huggingface",
    "internvl",
    "llama_cpp",
    "llava",
    "llava_json",
    "llava_next",
    "lmdeploy",
    "modelscope",
    "nextgpt",
    "openai",
    "peft",
    "qwen_vl",
    "sharegpt",
    "transformers",
    "transformers_models",
    "xtuner",
)


pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = out.glob("*.whl")
    return made


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {name for name in tracked if name.startswith("hubkit/")}
    expected |= {"hubkit/" + name for name in tracked if name.startswith("templates/")}
    expected |= {
        name.split("/", 2)[2]
        for name in tracked
        if name.startswith("plugins/") and "/hubkit_" in name
    }
    pages = ".data/data/share/man/man1/"  # where `make man` has written them
    assert {name for name in names if ".dist-info/" not in name and pages not in name} == expected
    assert "hubkit/quickstart/base/model.safetensors" in names
    assert "hubkit/templates/model_card/en.md.j2" in names


def test_every_plugin_brings_its_case(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {plugin for plugin in PLUGINS if f"hubkit_{plugin}/conformance.py" not in names} <= {
        "nextgpt"
    }
    assert "hubkit/evaluation/conformance.py" in names


def test_every_entry_point_is_in_the_wheel(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    points = archive.read(metadata).decode()
    for plugin in PLUGINS:
        assert f"{plugin} = hubkit_{plugin}:" in points
        assert f"hubkit_{plugin}/__init__.py" in archive.namelist()


def test_the_core_needs_no_torch(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    core = [
        line
        for line in archive.read(metadata).decode().splitlines()
        if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
    assert core and not any(
        heavy in line
        for line in core
        for heavy in ("torch", "transformers", "peft", "xtuner", "lmdeploy")
    )


Hubkit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of a new virtual environment that holds hubkit alone."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip(folder / "bin" / "python", "-c", str(ROOT / "constraints.txt"), str(wheel))
    return folder / "bin" / "python"


def pip(python: Path, *what: str) -> None:
    subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what],
        check=True,
        cwd=python.parent,
    )


@pytest.fixture
def hubkit(fresh: Path, tmp_path: Path) -> Hubkit:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            [str(fresh), "-m", "hubkit", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=180,
        )

    return run


@pytest.mark.integration
def test_a_new_plugin_of_each_kind_is_written_installed_and_checked(
    fresh: Path, hubkit: Hubkit, tmp_path: Path
) -> None:
    names = {
        kind: f"my{kind}"
        for kind in ("family", "dataset", "trainer", "engine", "exporter", "metric", "hub")
    }
    for kind, name in names.items():
        assert hubkit("plugins", "new", "--kind", kind, name).returncode == 0
        pip(fresh, f"{tmp_path / name}[test]")
    rows = {
        row["name"]: row
        for row in map(json.loads, hubkit("plugins", "list", "--json").stdout.splitlines())
    }
    for kind, name in names.items():
        assert (rows[name]["kind"], rows[name]["state"], rows[name]["distribution"]) == (
            kind,
            "ok",
            f"hubkit-{name}",
        )
        checked = hubkit("plugins", "check", name, "--json")
        steps = [json.loads(line) for line in checked.stdout.splitlines()]
        assert checked.returncode == 0 and steps[-1]["ok"] is True, checked.stdout + checked.stderr
        assert {step["state"] for step in steps[:-1]} <= {"ok", "skipped"}
    for name in ("mymetric", "mydataset"):
        tests = [str(fresh), "-m", "pytest", "-q", str(tmp_path / name)]
        assert subprocess.run(tests, cwd=tmp_path, capture_output=True).returncode == 0


@pytest.mark.integration
def test_an_installation_without_torch_works_and_says_what_it_lacks(
    hubkit: Hubkit, wheel: Path
) -> None:
    """In a fresh environment: every plugin loads, the verbs that need no torch work, the others
    name the extra."""
    rows = [json.loads(line) for line in hubkit("plugins", "--json").stdout.splitlines()]
    states = {row["name"]: row["state"] for row in rows if row["distribution"] == "hubkit-vlm"}
    assert set(states.values()) == {"ok"} and set(PLUGINS) <= set(states)
    base = ROOT / "hubkit" / "quickstart" / "base"
    assert hubkit("check", str(base)).returncode == 0
    assert hubkit("init", "--template").returncode == 0
    smoke = hubkit("smoke", str(base))
    assert smoke.returncode == 4 and f"pip install '{wheel}[transformers]'" in smoke.stderr
    doctor = hubkit("doctor", "--json")
    findings = {
        row["what"]: row
        for row in map(json.loads, doctor.stdout.splitlines())
        if row["event"] == "finding"
    }
    assert (
        findings["trainer peft"]["state"] == "warning"
        and f"{wheel}[peft]" in findings["trainer peft"]["remedy"]
    )
    for plugin in ("peft", "transformers", "huggingface", "modelscope"):
        checked = hubkit("plugins", "check", plugin, "--json")
        skipped = [
            one
            for one in map(json.loads, checked.stdout.splitlines())
            if one.get("state") == "skipped"
        ]
        assert checked.returncode == 0 and f"pip install '{wheel}[" in skipped[0]["message"], (
            checked.stdout + checked.stderr
        )
