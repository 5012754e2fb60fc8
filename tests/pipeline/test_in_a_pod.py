"""A stage as a Kubernetes job: real kubectl, an API on this machine, its pod a process here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from testing.kubernetes_api import CLAIM, IMAGE, cluster
from testing.projects import NAME
from testing.releases import Notes

import hubkit
from hubkit.reporting import SilentReporter


class Told(Notes, SilentReporter): ...


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_a_training_in_a_pod(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followed, collected and sealed here; the pod has the image's Python and none of this
    machine's variables."""
    asked = f"scheduler: kubernetes, image: {IMAGE}, claim: {CLAIM}, prologue: echo from-the-pod"
    overrides = [f"where={{{asked}}}", "train.options.steps=1", "train.options.threads=1"]
    (tmp_path / "kube").mkdir()
    monkeypatch.setenv("HF_TOKEN", "hf_not_for_jobs")
    with cluster(tmp_path / "kube") as api:
        monkeypatch.setenv("KUBECONFIG", str(api.config))
        told = Told()
        hubkit.release(project, until="train", overrides=overrides, reporter=told)
        (job,) = api.jobs.values()
    assert "hf_not_for_jobs" not in str(job)
    notes = "\n".join(told.notes)
    assert f"submitted as kubernetes job {job['metadata']['name']}" in notes
    assert "from-the-pod" in notes
    assert any(unit == "steps" for _, _, unit in told.steps)
    run = project.parent / ".hubkit" / NAME
    assert (run / "train" / "seal.json").exists()
    assert not any((run / "jobs").iterdir())
