"""A SkyPilot task (docs.skypilot.co, "SkyPilot YAML")."""

from __future__ import annotations

import math
from typing import Any

from .launch import PORT, Launch

_BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_PLACES = {
    "PET_NNODES": "$SKYPILOT_NUM_NODES",
    "PET_NODE_RANK": "$SKYPILOT_NODE_RANK",
    "PET_MASTER_ADDR": '$(head -n1 <<< "$SKYPILOT_NODE_IPS")',
    "PET_MASTER_PORT": PORT,
}


def task(launch: Launch) -> list[dict[str, Any]]:
    """The release's folder travels as the task's working directory; paths outside of it are put in
    the same place.

    Raises:
        UsageError: GPUs are asked for and nobody said of which kind.
    """
    needs, resources = launch.needs, dict[str, Any]()
    if needs.gpus:
        gpu = launch.require("gpu", launch.gpu, "the kind of GPU, such as H200,")
        resources["accelerators"] = {gpu: needs.gpus}
    if needs.cpus:
        resources["cpus"] = f"{needs.cpus}+"
    if launch.memory:
        size = int(launch.memory[:-2]) * _BYTES[launch.memory[-2:]]
        resources["memory"] = f"{max(1, math.ceil(size / (1 << 30)))}+"
    resources["image_id"] = f"docker:{launch.image}"
    made: dict[str, Any] = {
        "name": launch.label,
        "workdir": str(launch.folder),
        "num_nodes": needs.nodes,
        "resources": resources,
    }
    if launch.outside:
        made["file_mounts"] = {str(path): str(path) for path in launch.outside}
    limit = "" if launch.seconds is None else f"timeout {launch.seconds} "
    return [{**made, "run": launch.script(_PLACES, limit)}]
