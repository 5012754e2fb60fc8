"""`hubkit launch`: what SkyPilot and Kubernetes are asked for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from testing.projects import RELEASE

from hubkit.__main__ import run
from hubkit.api.launch import launch
from hubkit.api.release import join
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


def all_made(spec: Path, format: str, **options: Any) -> list[dict[str, Any]]:
    options = {"image": "registry/hubkit:train", "gpu": "H200", "claim": "releases"} | options
    return list(yaml.safe_load_all(launch(spec, format, **options)))


def made(spec: Path, format: str, **options: Any) -> dict[str, Any]:
    (loaded,) = all_made(spec, format, **options)
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
    with pytest.raises(UsageError, match=r"trainer xtuner needs a folder that its nodes share"):
        made(spec, "sky", overrides=["where.nodes=2", "train={trainer: xtuner}"])
    assert run(["launch", str(spec), "--print", "sky", "--image", "i", "--gpu", "H200"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "internvl2-tiny-test"


TWO = {"overrides": ["where.nodes=2"]}
TWICE = "--set where.nodes=2"
JOINED = f"""\
if [ "$PET_NODE_RANK" = 0 ]; then
  hubkit release release.yaml --where local --until evaluate {TWICE}
else
  hubkit release release.yaml --where local --join --workdir /tmp/hubkit {TWICE}
fi
"""


def test_several_nodes(spec: Path) -> None:
    """The first runs the release, the others train with it; each system says in its own way which
    is which."""
    task = made(spec, "sky", **TWO)
    assert task["num_nodes"] == 2
    assert "export PET_NODE_RANK=$SKYPILOT_NODE_RANK\n" in task["run"]
    assert task["run"].endswith(JOINED.replace("  hubkit", "  timeout 43200 hubkit"))
    service, job = all_made(spec, "kubernetes", **TWO)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    name = service["metadata"]["name"]
    assert job["spec"]["template"]["spec"]["subdomain"] == name == job["metadata"]["name"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert f"export PET_MASTER_ADDR={name}-0.{name}\n" in container["command"][2]
    assert container["command"][2].endswith(JOINED)
    asked = made(spec, "kubeflow", **TWO)["spec"]["trainer"]
    assert asked["numNodes"] == 2
    assert asked["command"][2].endswith(JOINED)
    assert "export PET_" not in asked["command"][2]


def test_the_meeting_place_is_what_each_system_says(spec: Path) -> None:
    """By the shell that runs it."""
    lines = made(spec, "sky", **TWO)["run"].splitlines()
    exports = "\n".join(line for line in lines if line.startswith("export PET_"))
    variables = {
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.8",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        ["bash", "-c", f"{exports}\nenv"], env=variables, capture_output=True, text=True, check=True
    )
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("PET_")) == [
        "PET_MASTER_ADDR=10.0.0.7",
        "PET_MASTER_PORT=29500",
        "PET_NNODES=2",
        "PET_NODE_RANK=1",
    ]


def test_the_first_node_joins_nobody(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PET_NODE_RANK", raising=False)
    assert run(["release", str(spec), "--join"]) == 2
    assert "or none of several" in capsys.readouterr().err
    assert run(["release", str(spec), "--join", "--until", "train"]) == 2
    assert "without --from, --until and --where" in capsys.readouterr().err


def test_a_trainer_whose_nodes_share_a_folder_joins_nobody(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PET_NODE_RANK", "1")
    with pytest.raises(UsageError, match="trainer xtuner needs a folder") as raised:
        join(spec, overrides=["train={trainer: xtuner}"])
    assert "`where: slurm`" in raised.value.remedy


@pytest.mark.parametrize("nodes", [1, 2])
def test_what_is_printed_has_the_published_form(spec: Path, nodes: int) -> None:
    """Schemas of SkyPilot, Kubernetes and Kubeflow: make_launch_schemas.py."""
    schemas = json.loads(Path(__file__).with_name("launch_schemas.json").read_text("utf-8"))
    how: dict[str, Any] = {"overrides": [f"where.nodes={nodes}"]}
    documents = [*all_made(spec, "kubernetes", **how), *all_made(spec, "kubeflow", **how)]
    for document in documents:
        Draft202012Validator(schemas[document["kind"]]).validate(document)
        with pytest.raises(ValidationError):
            document["spec"]["unheard-of"] = 1
            Draft202012Validator(schemas[document["kind"]]).validate(document)
    task = made(spec, "sky", **how)
    Draft202012Validator(schemas["Task"]).validate(task)
    Draft202012Validator(schemas["Resources"]).validate(task["resources"])


def test_skypilot_itself_takes_the_task(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed; its schema was asked")
    monkeypatch.setenv("HOME", str(spec.parents[1]))
    path = spec.with_name("sky.yaml")
    path.write_text(launch(spec, "sky", image="i", gpu="H200", **TWO), "utf-8")
    task = sky.Task.from_yaml(str(path))
    (one,) = task.resources
    assert (task.num_nodes, one.accelerators) == (2, {"H200": 8})
    assert task.run.endswith("fi\n")
