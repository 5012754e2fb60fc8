"""Writes launch_schemas.json: what SkyPilot, Kubernetes and Kubeflow publish of the form of what
`hubkit launch` prints, without descriptions and closed to unknown keys.

Run by hand, in an environment of its own, when one of them has a new form:

    pip install skypilot kubernetes-validate kubeflow-trainer-api
    python tests/api/make_launch_schemas.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob
from sky.utils import schemas

PLACE = Path(__file__).with_name("launch_schemas.json")
KUBERNETES = kubernetes_validate.latest_version()
FILES = (
    Path(kubernetes_validate.__file__).parent
    / "kubernetes-json-schema"
    / f"v{KUBERNETES}-local-strict"
)


def published(name: str) -> dict[str, Any]:
    """A schema of Kubernetes with all that it refers to."""
    known = json.loads((FILES / "_definitions.json").read_text("utf-8"))["$defs"]
    definitions: dict[str, Any] = {}

    def take(name: str) -> dict[str, str]:
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = referring(known[name])
        return {"$ref": f"#/$defs/{name}"}

    def referring(value: Any) -> Any:
        if isinstance(value, list):
            return [referring(one) for one in value]
        if not isinstance(value, dict):
            return value
        if isinstance(target := value.get("$ref"), str):
            return take(target.rpartition("/")[2])
        return {key: referring(one) for key, one in value.items()}

    return {**take(name), "$defs": definitions}


def bare(value: Any, named: bool = False) -> Any:
    """Without what only people read; `named`: the keys are an object's, whatever they are."""
    if isinstance(value, list):
        return [bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    told = () if named else ("description", "title", "examples", "default", "$schema")
    return {
        key: bare(one, not named and key in ("properties", "$defs"))
        for key, one in value.items()
        if key not in told and not key.startswith("x-")
    }


def closed(value: Any) -> Any:
    """Kubeflow's models hold a value of several types in one named `actual_instance`."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "actual_instance" in value.get("properties", ()):
        return closed(value["properties"]["actual_instance"])
    made = {key: closed(one) for key, one in value.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


if __name__ == "__main__":
    made = {
        "of": {
            "skypilot": version("skypilot"),
            "kubernetes": KUBERNETES,
            "kubeflow-trainer-api": version("kubeflow_trainer_api"),
        },
        "Task": bare({**schemas.get_task_schema()}),
        "Resources": bare(schemas.get_resources_schema()),
        "Job": bare(published("io.k8s.api.batch.v1.Job")),
        "Service": bare(published("io.k8s.api.core.v1.Service")),
        "TrainJob": closed(bare(TrainerV1alpha1TrainJob.model_json_schema())),
    }
    PLACE.write_text(json.dumps(made, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
