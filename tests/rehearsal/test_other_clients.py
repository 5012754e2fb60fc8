"""Clients that hubkit does not use, as their users do: huggingface.js 2.17 and modelscope 1.28."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing.hubclients import digests

from hubkit.rehearsal import Running

pytestmark = pytest.mark.integration
SCRIPTS = Path(__file__).with_name("clients")


def ran(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(*command: str | Path) -> None:
    """Skips where the registry cannot be reached."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(f"{command[0]} cannot install the client: {done.stderr[-300:]}")


def test_huggingface_js(hub: Running, release: Path, tmp_path: Path) -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm is not installed")
    folder, weights, out = tmp_path / "js", release / "model.safetensors", tmp_path / "fresh"
    folder.mkdir()
    npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder)
    installed(*npm, "@huggingface/hub@~2.17")
    script = Path(shutil.copy(SCRIPTS / "life.mjs", folder))
    told = ran("node", script, hub.url, "org/InternVL2-JS", weights, out, HUB_TOKEN=hub.token)
    found = json.loads(told)
    sha = digests(release)["model.safetensors"]
    assert ["model.safetensors", 3_000_000, sha] in found["listed"]
    assert ["config.json", 3, None] in found["listed"]
    assert found["paths"] == [["model.safetensors", sha]] and found["size"] == 3_000_000
    assert found["info"] == ["org/InternVL2-JS", True, found["commit"]]
    assert out.read_bytes() == weights.read_bytes()


def test_modelscope_1_28(hub: Running, release: Path, tmp_path: Path) -> None:
    environment, out = tmp_path / "v", tmp_path / "fresh"
    ran(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    installed(python, "-m", "pip", "install", "--quiet", "modelscope==1.28.0")
    places = {
        "HUB_TOKEN": hub.token,
        "MODELSCOPE_DOMAIN": hub.url.removeprefix("http://"),
        "MODELSCOPE_CACHE": str(tmp_path / "cache"),
        "MODELSCOPE_CREDENTIALS_PATH": str(tmp_path / "credentials"),
    }
    told = ran(python, SCRIPTS / "life.py", hub.url, "org/InternVL2-MS", release, out, **places)
    found = json.loads(told.partition("RESULT ")[2])
    sent = digests(release)
    assert {path: sha for path, _, sha in found["listed"] if path in sent} == sent
    assert found["info"] == ["org", "InternVL2-MS", 1] and found["folder"] == str(out)
    assert {path: sha for path, sha in digests(out).items() if path in sent} == sent
