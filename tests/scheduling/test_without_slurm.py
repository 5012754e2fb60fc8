from __future__ import annotations

from pathlib import Path

import pytest

from hubkit.errors import EnvironmentFailure
from hubkit.scheduling import Job, Needs, Slurm


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="sbatch is not on this machine") as raised:
        Slurm().check(Job("a", tmp_path, ("true",), {}, Needs()))
    assert "`where: local`" in raised.value.remedy
