"""The quickstart as a user runs it: the whole release on real handwriting, and the repository it leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def hubkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hubkit", *arguments], capture_output=True, text=True, timeout=900)


def test_the_quickstart_ends_with_a_model_that_reads_handwriting(tmp_path: Path) -> None:
    done = hubkit("quickstart", "--workdir", str(tmp_path / "D"), "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    evaluation = result["evaluation"]
    assert evaluation["count"] >= 300
    assert evaluation["base_correct"] < 0.6 * evaluation["count"]
    assert evaluation["correct"] >= 0.9 * evaluation["count"]
    clone = tmp_path / "X"
    (remote,) = (tmp_path / "D" / "hub").glob("*.git")
    subprocess.run(["git", "clone", "-q", str(remote), str(clone)], check=True)
    subprocess.run(["git", "lfs", "pull"], cwd=clone, check=True, capture_output=True)
    for file in json.loads((clone / "manifest.json").read_text("utf-8"))["files"]:
        assert hashlib.sha256((clone / file["path"]).read_bytes()).hexdigest() == file["sha256"], file["path"]
    assert hubkit("check", str(clone)).returncode == 0
    image = str(sorted((tmp_path / "D" / "data" / "images").glob("*.png"))[0])
    smoke = hubkit("smoke", str(clone), "--image", image, "--prompt", "Which digit is this?", "--json")
    assert json.loads(smoke.stdout.splitlines()[-1])["transcript"][0]["answers"] == ["0"]
    again = hubkit("quickstart", "--workdir", str(tmp_path / "D"), "--json")
    assert all(stage["cached"] for stage in json.loads(again.stdout.splitlines()[-1])["stages"])
