"""Nodes that share no folder: the first runs the release, the other joins its training."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from testing.projects import NAME, make_project

import hubkit

pytestmark = pytest.mark.integration
ADAPTER = Path(".hubkit", NAME, "train", "adapter", "adapter_model.safetensors")


def project(folder: Path, digits: Path, options: str) -> Path:
    spec = make_project(folder, digits)
    text = spec.read_text("utf-8").replace("steps: 3, batch_size: 4", f"threads: 1, {options}")
    spec.write_text(text, "utf-8")
    return spec


def test_a_node_that_joins_trains_with_the_first(tmp_path: Path, digits: Path) -> None:
    """In the bytes of one process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nodes = []
    for rank, more in enumerate((["--until", "train"], ["--join", "--workdir", tmp_path / "run"])):
        spec = project(tmp_path / f"node-{rank}", digits, "steps: 2, batch_size: 1")
        places = {"NNODES": 2, "NODE_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{f"PET_{name}": str(one) for name, one in places.items()}}
        command = [sys.executable, "-m", "hubkit", "release", spec, *more]
        nodes.append(subprocess.Popen(command, env=environment))
    assert [node.wait(400) for node in nodes] == [0, 0]
    spec = project(tmp_path / "one", digits, "steps: 2, batch_size: 1, accumulation: 2")
    hubkit.release(spec, until="train")
    found = (tmp_path / "node-0" / ADAPTER).read_bytes()
    assert found == (spec.parent / ADAPTER).read_bytes()
    assert not (tmp_path / "run" / ADAPTER).exists()
