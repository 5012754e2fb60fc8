"""What `hubkit doctor` finds on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.integration  # it asks the interpreter of each trainer and engine
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
    assert all(row["remedy"] for row in findings.values() if row["state"] != "ok")
