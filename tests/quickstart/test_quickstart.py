"""The quickstart as a user runs it: the whole release on real handwriting, and the repository it
leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from PIL import Image

pytestmark = pytest.mark.integration


def hubkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubkit", *arguments], capture_output=True, text=True, timeout=900
    )


def test_the_quickstart_ends_with_a_model_that_reads_handwriting(tmp_path: Path) -> None:
    done = hubkit("quickstart", "--workdir", str(tmp_path / "D"), "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    evaluation = result["evaluation"]
    (measure,) = evaluation["measures"]
    assert evaluation["count"] == measure["count"] >= 300
    assert measure["base_right"] < 0.6 * measure["count"]
    assert measure["right"] >= 0.9 * measure["count"]
    assert measure["change"]["low"] > 0.3 and measure["p_value"] < 1e-9
    clone = tmp_path / "X"
    (remote,) = (tmp_path / "D" / "hub").glob("*.git")
    subprocess.run(["git", "clone", "-q", str(remote), str(clone)], check=True)
    subprocess.run(["git", "lfs", "pull"], cwd=clone, check=True, capture_output=True)
    for file in json.loads((clone / "manifest.json").read_text("utf-8"))["files"]:
        assert hashlib.sha256((clone / file["path"]).read_bytes()).hexdigest() == file["sha256"], (
            file["path"]
        )
    assert hubkit("check", str(clone)).returncode == 0
    assert_the_card_says_what_was_measured(clone, measure)
    assert_every_hub_has_the_results(tmp_path / "D", clone)
    image = str(sorted((tmp_path / "D" / "data" / "images").glob("*.png"))[0])
    smoke = hubkit(
        "smoke", str(clone), "--image", image, "--prompt", "Which digit is this?", "--json"
    )
    assert json.loads(smoke.stdout.splitlines()[-1])["transcript"][0]["answers"] == ["0"]
    again = hubkit("quickstart", "--workdir", str(tmp_path / "D"), "--json")
    assert all(stage["cached"] for stage in json.loads(again.stdout.splitlines()[-1])["stages"])


def assert_the_card_says_what_was_measured(clone: Path, measure: dict[str, Any]) -> None:
    """The before and after with their intervals: in both languages, a picture, and the metadata of
    both hubs."""
    score, base, change = (measure[name] for name in ("score", "base", "change"))
    claim = (
        f"{100 * change['value']:+.1f} points, 95% CI {100 * change['low']:.1f} to "
        f"{100 * change['high']:.1f}"
    )
    english, chinese = (
        (clone / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    assert (
        f"went from {100 * base['value']:.1f}% to **{100 * score['value']:.1f}%**: {claim}."
        in english
    )
    assert (
        f"由 {100 * base['value']:.1f}% 提升至 "
        f"**{100 * score['value']:.1f}%**：{100 * change['value']:+.1f} 个百分点"
    ) in chinese
    assert f"{100 * score['low']:.1f}% to {100 * score['high']:.1f}%" in english
    assert "McNemar's exact test (p < 0.001)" in english and "McNemar 精确检验" in chinese
    assert (
        "asked with exactly the prompt of its training" in english and "与训练时完全一致" in chinese
    )
    assert "](assets/scores.png)" in english and "](assets/scores.png)" in chinese
    with Image.open(clone / "assets" / "scores.png") as picture:
        assert picture.format == "PNG" and picture.width == 1440
    data = ModelCard.load(clone / "README.md").data
    (index,) = data.eval_results
    assert (index.metric_type, index.metric_value) == ("exact_match", score["value"])
    assert index.metric_args["change_interval_95"] == [change["low"], change["high"]]
    (file,) = (clone / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text("utf-8")))
    assert (entry.task_id, entry.value) == ("exact_match", score["value"])
    assert entry.notes is not None and claim.replace("95%", "95 %") in entry.notes
    (indexed,) = data.to_dict()["indexing"]["results"]
    assert (data.metrics, indexed["metrics"][0]["value"]) == (["exact_match"], score["value"])
    assert claim.replace("95%", "95 %") in indexed["metrics"][0]["description"]


def assert_every_hub_has_the_results(workdir: Path, clone: Path) -> None:
    """The release that the rehearsal hub was sent over each protocol, hidden folder included, as it
    says itself."""
    (name,) = (file.name for file in (clone / ".eval_results").iterdir())
    listed = {
        file["path"] for file in json.loads((clone / "manifest.json").read_text("utf-8"))["files"]
    }
    assert f".eval_results/{name}" in listed
    repositories = sorted((workdir / "rehearsal" / "repositories").glob("*.git"))
    held = [
        subprocess.run(
            ["git", "ls-tree", "-r", "--name-only", "HEAD"],
            cwd=path,
            capture_output=True,
            text=True,
        ).stdout
        for path in repositories
    ]
    assert len(held) == 3 and all(f".eval_results/{name}\n" in files for files in held), held
