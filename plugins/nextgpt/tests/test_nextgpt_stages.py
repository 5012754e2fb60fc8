"""Three stages of a small NExT-GPT, really trained: what each changed, what is refused, how a killed run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hubkit_nextgpt.command import from_script
from hubkit_nextgpt.options import Options
from hubkit_nextgpt.stages import Stage, run_stages

from hubkit.sdk import EnvironmentFailure, PluginError, RefusedError, SilentRun, UsageError, WeightsError
from hubkit.sdk.codec import decode

OUTPUTS = ["image output projection", "video output projection", "audio output projection"]


def go(options: dict[str, Any], scratch: Path, **more: Any) -> tuple[Stage, ...]:
    return run_stages(decode(Options, {**options, **more}, "options"), scratch, SilentRun())


@pytest.mark.integration
def test_each_stage_changes_its_own_parameters(trained: tuple[Stage, ...]) -> None:
    one, two, three = trained
    assert {t: (g.changed, g.new) for t, g in one.report.groups.items()} == {
        "input projection": (0, 544),
        **dict(zip(OUTPUTS, [(0, 792), (0, 792), (0, 264)], strict=True)),
        "embeddings": (0, 2 * 46 * 32),
    }
    assert {t: g.changed for t, g in two.report.groups.items()} == {
        "input projection": 0,
        **dict(zip(OUTPUTS, [792, 792, 264], strict=True)),
        "embeddings": 0,
    }
    groups = three.report.groups
    assert (groups["LoRA"].new, groups["LoRA"].tensors, three.report.lora_rank) == (4 * 2 * 4 * 32, 8, 4)
    assert groups["input projection"].changed == 544 and groups["embeddings"].changed == 0
    assert three.report.trainable == 1024 + 544 + 792 + 792 + 264 and three.report.wrong == ()
    kept = torch.load(one.folder / "pytorch_model.pt", weights_only=True)
    after = torch.load(two.folder / "pytorch_model.pt", weights_only=True)
    assert torch.equal(kept["llama_proj.weight"], after["llama_proj.weight"])
    assert not torch.equal(kept["gen_text_hidden_fcs.0.weight"], after["gen_text_hidden_fcs.0.weight"])
    assert not list((one.folder.parents[1] / "NExT-GPT").rglob("pytorch_model.pt")), "the checkout stays as it was"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("what", "stages", "error", "named"),
    [
        ("frozen2", (2,), RefusedError, "changed llama_proj.bias (input projection), which is not its own"),
        ("nothing2", (2,), RefusedError, "it trained nothing: neither image output projection nor video output projection"),
        ("silent2", (2,), PluginError, "stage 2 of NExT-GPT ended with exit code 0 and wrote no checkpoint"),
        ("crash1", (1,), PluginError, "the GPU fell off"),
        ("norm1", (1,), RefusedError, "llama_model.model.norm.weight, which is no part of NExT-GPT's delta"),
    ],
)
def test_a_stage_that_does_something_else_is_refused(
    options: dict[str, Any],
    trained: tuple[Stage, ...],
    tmp_path: Path,
    what: str,
    stages: tuple[int, ...],
    error: type[Exception],
    named: str,
) -> None:
    start = str(trained[0].folder) if stages == (2,) else ""
    with pytest.raises(error) as caught:
        go(options, tmp_path / "scratch", stages=stages, start=start, arguments=("--misbehave", what))
    assert named in str(caught.value)


@pytest.mark.integration
def test_changed_base_rows(options: dict[str, Any], trained: tuple[Stage, ...], tmp_path: Path, told: Path) -> None:
    given = {"stages": (2,), "start": str(trained[0].folder), "arguments": ("--misbehave", "vocabulary2")}
    with pytest.raises(RefusedError, match=r"changed rows of llama_model.model.embed_tokens.weight below 40"):
        go(options, tmp_path / "scratch", **given)
    (done,) = go(options, tmp_path / "scratch", **given, embeddings="all")
    assert done.report.groups["embeddings"].changed == 46 * 32
    assert told.read_text().split() == ["2"], "another judgement trains nothing again"


@pytest.mark.integration
def test_an_interrupted_run_goes_on_at_its_stage(
    options: dict[str, Any], trained: tuple[Stage, ...], tmp_path: Path, told: Path
) -> None:
    code, scratch = Path(options["checkout"]) / "code/train.py", tmp_path / "scratch"
    with pytest.raises(PluginError, match="exit code 1"):
        go(options, scratch, stages=(1, 2), arguments=("--misbehave", "crash2"))
    assert (scratch / "work/pytorch_model.pt").is_file() and told.read_text().split() == ["1"]
    (scratch / "work/pytorch_model.pt").write_bytes(b"half a checkpoint")
    code.write_text(code.read_text().replace("fell off", "fell"))
    options["arguments"] = ("--misbehave", "no")
    first = go(options, scratch, stages=(1,))
    assert [stage.digest for stage in first] == [trained[0].digest], "the same training gives the same bytes"
    assert told.read_text().split() == ["1", "1"], "other code, other arguments: trained again"
    again = go(options, scratch, stages=(1, 2))
    assert told.read_text().split() == ["1", "1", "2"] and again[1].digest == trained[1].digest
    go(options, scratch, stages=(1, 2))
    (scratch / "stage-2/pytorch_model.pt").write_bytes(b"damaged")
    assert go(options, scratch, stages=(1, 2))[1].digest == trained[1].digest
    assert told.read_text().split() == ["1", "1", "2", "2"], "a damaged snapshot is not believed"


@pytest.mark.integration
def test_the_current_scripts(current: dict[str, Any], tmp_path: Path) -> None:
    one, two, three = go(current, tmp_path / "scratch")
    assert one.report.groups["input projection"].new == 512 and set(one.report.groups) == {"input projection"}
    assert [two.report.groups[title].new for title in OUTPUTS] == [256, 256, 256]
    assert two.report.groups["input projection"].changed == 0
    assert three.report.groups["input projection"].changed == 512 and three.report.groups["LoRA"].new == 256
    assert three.report.lora_rank == 4


@pytest.mark.integration
def test_a_worker_that_is_killed_goes_on_at_its_stage(options: dict[str, Any], tmp_path: Path, told: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    options["stages"] = [1, 2]
    vision = {"tile": 1, "tokens_per_tile": 1, "min_tiles": 1, "max_tiles": 1, "thumbnail": False}
    paths = {name: str(tmp_path / name) for name in ("base", "native", "records", "images", "output", "scratch")}
    given = {**paths, "groups": {}, "vision": {**vision, "mean": [0, 0, 0], "std": [1, 1, 1]}, "seed": 0, "options": options}
    request = {"plugin": "hubkit_nextgpt:NextGPTTrainer", "call": "train", "input": given}
    (job / "input.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "hubkit.sdk.worker", str(job)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as worker:
        deadline = time.monotonic() + 100
        while not (tmp_path / "scratch/stage-2.log").is_file():
            assert worker.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(worker.pid, signal.SIGKILL)
    assert told.read_text().split() == ["1"] and not (tmp_path / "scratch/stage-2").exists()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=120)
    answer = json.loads((job / "output.json").read_text())
    assert done.returncode == 0 and answer["ok"], answer
    assert told.read_text().split() == ["1", "2"]
    result = answer["result"]
    assert (result["format"], result["adapter"], result["trainable_parameters"]) == ("other", "checkpoint", 1848)
    assert result["settings"] == {"stages": "1, 2", "lora_rank": 4, "lora_alpha": 32}
    report = json.loads((tmp_path / "output/stages.json").read_text())
    assert [one["stage"] for one in report] == [1, 2] and str(tmp_path) not in json.dumps(report)
    assert (tmp_path / "output/checkpoint/pytorch_model.pt").is_file()


def test_what_is_missing_is_said_before_anything_starts(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"2 of the base models are missing:\n  imagebind: no folder is given\n  vicuna: .*/no"):
        go(options, tmp_path / "s", weights={"vicuna": str(tmp_path / "no")})
    with pytest.raises(UsageError, match=r"has no train_mem.py, which the current launcher starts"):
        go(options, tmp_path / "s", launcher="current")
    with pytest.raises(EnvironmentFailure, match="launcher 'no-deepspeed' is not there"):
        go(options, tmp_path / "s", deepspeed="no-deepspeed")
    with pytest.raises(UsageError, match="data that is not there: data/x: /nowhere"):
        go(options, tmp_path / "s", data={"data/x": "/nowhere"})
    for wrong, said in (({"stages": [2, 1]}, "stages are 1, 2, 3"), ({"data": {"../x": "/"}}, "not a path in the checkout")):
        with pytest.raises(UsageError, match=said):
            go(options, tmp_path / "s", **wrong)


def test_a_checkpoint_that_runs_code_is_not_loaded(options: dict[str, Any], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"llama_proj.weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match="nothing was run"):
        go(options, tmp_path / "s", start=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


def test_scripts_are_read_and_not_run(tmp_path: Path) -> None:
    script = tmp_path / "s.sh"
    script.write_text('A=("x y" z)\nB=1\ndeepspeed --include l:0 train_mem.py \\\n  --names "${A[@]}" --b $B --flag\n')
    assert from_script(script) == [("--names", ["x y", "z"]), ("--b", ["1"]), ("--flag", [])]
    for text, said in (
        ("deepspeed train_mem.py --a $(touch x)", "for a shell to work out"),
        ("deepspeed train_mem.py --a $NO", r"uses \$NO, which it does not set"),
        ("echo nothing", "starts train_mem.py 0 times"),
    ):
        script.write_text(text)
        with pytest.raises(UsageError, match=said):
            from_script(script)
