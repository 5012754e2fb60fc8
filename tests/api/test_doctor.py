"""What `hubkit doctor` finds on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.__main__ import run


def test_doctor_says_what_it_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hubkit", "doctor", "--json", "--workdir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    findings = {
        row["what"]: row
        for row in map(json.loads, done.stdout.splitlines())
        if row["event"] == "finding"
    }
    assert findings["git and git-lfs"]["state"] == "ok"
    assert (
        findings["trainer peft"]["state"] == "ok" and "torch" in findings["trainer peft"]["found"]
    )
    assert findings["GPU"]["found"]
    assert findings["trainer xtuner"]["found"].startswith("cannot run in ")
    assert all(row["remedy"] for row in findings.values() if row["state"] != "ok")


def test_doctor_of_a_release_tells_what_it_lacks(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.read_text("utf-8").replace("name: InternVL2-Tiny-Test", "name: Food")
    project.write_text(f"{text}author: {{name: Your Name, email: a@engines.org}}\n", "utf-8")
    assert run(["doctor", str(project), "--json"]) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "error" and "Your Name" in last["message"]
    assert "repository name 'Food'" in last["message"]
