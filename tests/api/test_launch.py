"""`hubkit launch`: what SkyPilot and Kubernetes are asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from testing.projects import RELEASE

from hubkit.__main__ import run
from hubkit.api.launch import launch
from hubkit.errors import UsageError

WHERE = """\
where:
  scheduler: slurm
  gpus: 8
  cpus: 16
  memory: 64G
  hours: 12
  partition: a100
  prologue: |
    export NCCL_DEBUG=WARN
    echo "on $(hostname)"
"""
COMMAND = "hubkit release release.yaml --where local --until evaluate"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "food" / "release.yaml"
    path.parent.mkdir()
    path.write_text(RELEASE + WHERE, "utf-8")
    return path


def made(spec: Path, format: str, **options: Any) -> dict[str, Any]:
    options = {"image": "registry/hubkit:train", "gpu": "H200", "claim": "releases"} | options
    loaded: dict[str, Any] = yaml.safe_load(launch(spec, format, **options))
    return loaded


def test_a_sky_task(spec: Path) -> None:
    task = made(spec, "sky")
    assert task["resources"] == {
        "accelerators": {"H200": 8},
        "cpus": "16+",
        "memory": "64+",
        "image_id": "docker:registry/hubkit:train",
    }
    assert task["workdir"] == str(spec.parent)
    assert "file_mounts" not in task
    *before, last = task["run"].splitlines()
    assert before == ["set -e", "export NCCL_DEBUG=WARN", 'echo "on $(hostname)"']
    assert last == f"timeout 43200 {COMMAND}"
    assert "Slurm alone knows it: where.partition" in launch(spec, "sky", image="i", gpu="H200")


def test_what_lies_outside_the_folder_is_brought_to_the_same_place(spec: Path) -> None:
    spec.write_text(spec.read_text("utf-8").replace("path: base", "path: ../base"), "utf-8")
    base = spec.parents[1] / "base"
    task = made(spec, "sky")
    assert task["file_mounts"] == {str(base): str(base)}
    assert task["run"].splitlines()[-1].endswith(f"--set base.path={base}")
    with pytest.raises(UsageError, match=r"the pods see .* alone, and the release reads .*base"):
        made(spec, "kubernetes")


def test_an_indexed_job(spec: Path) -> None:
    job = made(spec, "kubernetes")
    assert job["metadata"]["name"] == "internvl2-tiny-test"
    assert job["spec"]["activeDeadlineSeconds"] == 43200
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["bash", "-c"]
    assert container["command"][2].splitlines()[0] == f"cd {spec.parent} || exit"
    assert container["command"][2].splitlines()[-1] == COMMAND
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8, "cpu": 16, "memory": "64Gi"}


def test_a_train_job(spec: Path) -> None:
    asked = made(spec, "kubeflow")["spec"]
    assert asked["trainer"]["numNodes"] == 1
    assert asked["trainer"]["command"][2].splitlines()[-1] == COMMAND
    assert asked["activeDeadlineSeconds"] == 43200


def test_what_is_missing_is_named(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for format, options, told, remedy in (
        ("sky", {"gpu": ""}, "kind of GPU", "--gpu"),
        ("kubernetes", {"claim": ""}, "the claim that holds", "--claim"),
        ("skye", {}, "there is no format 'skye' (did you mean 'sky'?)", "kubeflow"),
    ):
        with pytest.raises(UsageError) as raised:
            made(spec, format, **options)
        assert told in raised.value.message
        assert remedy in raised.value.remedy
    with pytest.raises(UsageError, match=r"where.nodes is 2, and what is printed runs on one"):
        made(spec, "sky", overrides=["where.nodes=2"])
    assert run(["launch", str(spec), "--print", "sky", "--image", "i", "--gpu", "H200"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "internvl2-tiny-test"


@pytest.fixture(scope="module")
def validators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with SkyPilot, Kubernetes' published schemas and Kubeflow's models; they would bring
    much into an environment that they share."""
    folder = tmp_path_factory.mktemp("validators")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    wanted = ["skypilot", "kubernetes-validate", "kubeflow-trainer-api"]
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *wanted], check=True, timeout=1800)
    return folder / "bin" / "python"


SKY = """
import json, sys
import sky
task = sky.Task.from_yaml(sys.argv[1])
(one,) = task.resources
print(json.dumps({"nodes": task.num_nodes, "gpus": one.accelerators, "run": task.run}))
"""
JOB = """
import sys, yaml, kubernetes_validate
with open(sys.argv[1]) as file:
    kubernetes_validate.validate(yaml.safe_load(file), kubernetes_validate.latest_version(), True)
"""
TRAIN_JOB = """
import json, sys, yaml
from kubeflow_trainer_api import models
with open(sys.argv[1]) as file:
    given = yaml.safe_load(file)
read = models.TrainerV1alpha1TrainJob.from_dict(given)
print(json.dumps([read.to_dict(), given]))
"""


@pytest.mark.integration
@pytest.mark.xdist_group("launch")
def test_their_own_parsers_take_what_is_printed(spec: Path, validators: Path) -> None:
    for name in ("base", "data/images"):
        (spec.parent / name).mkdir(parents=True)
    home = spec.parents[1] / "home"
    home.mkdir()

    def parsed(code: str, format: str) -> Any:
        path = spec.with_name(f"{format}.yaml")
        options = {"image": "registry/hubkit:train", "gpu": "H200", "claim": "releases"}
        path.write_text(launch(spec, format, **options), "utf-8")
        done = subprocess.run(
            [validators, "-c", code, path],
            capture_output=True,
            text=True,
            timeout=300,
            env={"HOME": str(home), "PATH": f"{validators.parent}:/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None

    task = parsed(SKY, "sky")
    assert (task["nodes"], task["gpus"]) == (1, {"H200": 8})
    assert task["run"].splitlines()[-1] == f"timeout 43200 {COMMAND}"
    parsed(JOB, "kubernetes")
    read, given = parsed(TRAIN_JOB, "kubeflow")
    assert _without_empty(read) == _without_empty(given)
    shutil.rmtree(home)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(one) for key, one in value.items() if one not in (None, {}, [])}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
