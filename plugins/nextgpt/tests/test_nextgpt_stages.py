"""Three stages of a small NExT-GPT, really trained: what each changed, what is refused, how a
killed run goes on."""

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
from hubkit_nextgpt.compare import compare
from hubkit_nextgpt.current import from_script
from hubkit_nextgpt.options import Options
from hubkit_nextgpt.stages import Stage, run_stages

from hubkit.sdk import (
    EnvironmentFailure,
    PluginError,
    RefusedError,
    SilentRun,
    UsageError,
    WeightsError,
)
from hubkit.sdk.checkpoints import Weights, open_weights
from hubkit.sdk.codec import decode

OUTPUTS = ["image output projection", "video output projection", "audio output projection"]


def go(options: dict[str, Any], scratch: Path, **more: Any) -> tuple[Stage, ...]:
    return run_stages(decode(Options, {**options, **more}, "options"), scratch, SilentRun())


def bad(what: str, stage: int) -> dict[str, list[str]]:
    return {str(stage): ["--misbehave", what]}


@pytest.mark.integration
def test_each_stage_changes_its_own_parameters(trained: tuple[Stage, ...], parts: Path) -> None:
    one, two, three = trained
    sizes, embeddings = dict(zip(OUTPUTS, [480, 480, 336], strict=True)), 2 * 46 * 32
    found = {title: (g.changed, g.new, g.frozen) for title, g in one.report.groups.items()}
    assert found == {
        "input projection": (0, 544, 0),
        **{title: (0, size, size) for title, size in sizes.items()},
        "embeddings": (0, embeddings, 0),
    }
    assert one.report.trainable == 544 and one.report.base_rows == 0
    found = {title: (g.changed, g.new, g.frozen) for title, g in two.report.groups.items()}
    assert found == {
        "input projection": (0, 0, 544),
        **{title: (size, 0, 0) for title, size in sizes.items()},
        "embeddings": (embeddings, 0, 0),
    }
    assert two.report.base_rows == 2 * 40 - 1, "weight decay reaches every row that is not zero"
    groups = three.report.groups
    assert (groups["LoRA"].new, groups["LoRA"].tensors, three.report.lora_rank, three.alpha) == (
        4 * 2 * 4 * 32,
        8,
        4,
        8,
    )
    assert groups["input projection"].changed == 544 and groups[OUTPUTS[2]].changed == 336
    assert three.report.trainable == 1024 + 544 + 480 + 480 + 336 and three.report.wrong == ()
    kept = torch.load(one.folder / "pytorch_model.pt", weights_only=True)
    after = torch.load(two.folder / "pytorch_model.pt", weights_only=True)
    assert torch.equal(kept["llama_proj.weight"], after["llama_proj.weight"])
    assert not torch.equal(
        kept["gen_text_hidden_fcs.0.fc.weight"], after["gen_text_hidden_fcs.0.fc.weight"]
    )
    checkout = one.folder.parents[1] / "NExT-GPT"
    assert not [*checkout.rglob("pytorch_model.pt"), *checkout.rglob("__pycache__")], (
        "the checkout stays as it was"
    )
    assert (one.folder.parent / "stage-1-log/train.log").is_file() and not (
        one.folder / "log"
    ).exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("what", "stage", "error", "named"),
    [
        (
            "foreign",
            2,
            RefusedError,
            "it changed llama_proj.weight (input projection), which is not its own",
        ),
        ("nothing", 2, RefusedError, "stage 2 of NExT-GPT would train nothing: all params: "),
        ("own", 1, RefusedError, "it trained nothing: neither input projection was trained"),
        (
            "silent",
            2,
            PluginError,
            "stage 2 of NExT-GPT ended with exit code 0 and wrote no checkpoint",
        ),
        ("crash", 1, PluginError, "the GPU fell off"),
        (
            "norm",
            1,
            RefusedError,
            "it wrote llama_model.model.norm.weight, which is no part of NExT-GPT's delta",
        ),
    ],
)
def test_a_stage_that_does_something_else_is_refused(
    options: dict[str, Any],
    trained: tuple[Stage, ...],
    tmp_path: Path,
    what: str,
    stage: int,
    error: type[Exception],
    named: str,
) -> None:
    start = str(trained[0].folder) if stage == 2 else ""
    begun = time.monotonic()
    with pytest.raises(error) as caught:
        go(options, tmp_path / "scratch", stages=(stage,), start=start, arguments=bad(what, stage))
    assert named in str(caught.value) and time.monotonic() - begun < 400, (
        "ended before it has trained"
    )


@pytest.mark.integration
def test_only_new_rows_may_change_when_that_is_asked(
    options: dict[str, Any], trained: tuple[Stage, ...], tmp_path: Path, told: Path
) -> None:
    given = {"stages": (2,), "start": str(trained[0].folder)}
    with pytest.raises(
        RefusedError, match="changed 79 rows of the embeddings below 40, which are the base model's"
    ):
        go(options, tmp_path / "scratch", **given, embeddings="new_rows")
    (done,) = go(options, tmp_path / "scratch", **given)
    assert done.report.groups["embeddings"].changed == 2 * 46 * 32
    assert told.read_text().split() == ["2"], "another judgement trains nothing again"


@pytest.mark.integration
def test_an_interrupted_run_goes_on_at_its_stage(
    options: dict[str, Any], trained: tuple[Stage, ...], tmp_path: Path, told: Path
) -> None:
    code, scratch = Path(options["checkout"]) / "code", tmp_path / "scratch"
    with pytest.raises(PluginError, match="exit code 1"):
        go(options, scratch, stages=(1, 2), arguments=bad("crash", 2))
    assert (scratch / "work/pytorch_model.pt").is_file() and told.read_text().split() == ["1"]
    (scratch / "work/pytorch_model.pt").write_bytes(b"half a checkpoint")
    (code / "dsconfig/stage_2.json").write_text('{"steps": 3, "other": 1}')
    first, second = go(options, scratch, stages=(1, 2))
    assert told.read_text().split() == ["1", "2"], "what stage 2 is asked does not concern stage 1"
    assert [first.digest, second.digest] == [trained[0].digest, trained[1].digest], (
        "the same training gives the same bytes"
    )
    go(options, scratch, stages=(1, 2))
    (scratch / "stage-2/pytorch_model.pt").write_bytes(b"damaged")
    assert go(options, scratch, stages=(1, 2))[1].digest == trained[1].digest
    assert told.read_text().split() == ["1", "2", "2"], "a damaged snapshot is not believed"
    (code / "train.py").write_text((code / "train.py").read_text() + "# other code\n")
    go(options, scratch, stages=(1,))
    assert told.read_text().split() == ["1", "2", "2", "1"]


@pytest.mark.integration
def test_the_rank_is_the_checkouts_or_the_users(
    options: dict[str, Any], trained: tuple[Stage, ...], tmp_path: Path
) -> None:
    given = {"stages": (3,), "start": str(trained[1].folder), "lora_rank": 2, "lora_alpha": 6}
    (done,) = go(options, tmp_path / "scratch", **given)
    assert (done.report.lora_rank, done.alpha) == (2, 6)
    assert "lora_r: 4" in (Path(options["checkout"]) / "code/config/stage_3.yaml").read_text()


@pytest.mark.integration
def test_a_worker_that_is_killed_goes_on_at_its_stage(
    options: dict[str, Any], tmp_path: Path, told: Path
) -> None:
    job = tmp_path / "job"
    job.mkdir()
    options["stages"] = [1, 2]
    vision = {"tile": 1, "tokens_per_tile": 1, "min_tiles": 1, "max_tiles": 1, "thumbnail": False}
    paths = {
        name: str(tmp_path / name)
        for name in ("base", "native", "records", "images", "output", "scratch")
    }
    given = {
        **paths,
        "groups": {},
        "vision": {**vision, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "seed": 0,
        "options": options,
    }
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
    assert (result["format"], result["adapter"], result["trainable_parameters"]) == (
        "other",
        "checkpoint",
        1296,
    )
    assert result["settings"] == {"stages": "1, 2", "lora_rank": 0, "lora_alpha": 0}
    report = json.loads((tmp_path / "output/stages.json").read_text())
    assert [one["stage"] for one in report] == [1, 2] and str(tmp_path) not in json.dumps(report)
    assert (tmp_path / "output/checkpoint/pytorch_model.pt").is_file()


def test_what_a_checkpoint_says_of_trainable(tmp_path: Path) -> None:
    def saved(name: str, **trainable: bool) -> Weights:
        torch.save(
            {
                key: torch.nn.Parameter(torch.ones(2), requires_grad=on)
                for key, on in trainable.items()
            },
            tmp_path / name,
        )
        return open_weights(tmp_path / name)

    entry, way_out, words = (
        "llama_proj.bias",
        "gen_text_hidden_fcs_audio.0.fc.bias",
        "llama_model.model.embed_tokens.weight",
    )
    before = saved("a.pt", **{entry: True, way_out: False, words: True})
    after = saved("b.pt", **{entry: False, way_out: True, words: True})
    nothing = "it trained nothing: neither input projection was trained"
    foreign = f"it had {way_out} (audio output projection) trainable, which is not its own"
    assert compare(1, None, after, Options()).wrong == (foreign, nothing)
    assert (
        compare(1, None, before, Options()).wrong == ()
        and compare(1, None, before, Options()).trainable == 2
    )
    assert compare(1, before, before, Options()).wrong == (nothing,)
    base = saved("base.pt", **{"model.embed_tokens.weight": True})
    assert compare(1, None, before, Options(), 0, base).base_rows == 0
    torch.save({"model.embed_tokens.weight": torch.zeros(2)}, tmp_path / "base.pt")
    strict = compare(
        1, None, before, Options(embeddings="new_rows"), 0, open_weights(tmp_path / "base.pt")
    )
    assert strict.wrong[0].startswith(
        "it changed 2 rows of the embeddings below 32000, which are the base model's"
    )
    (said,) = compare(1, None, before.select([entry, way_out]), Options()).wrong
    assert said.startswith("it saved no embeddings, those of its signal tokens are lost")


def test_what_is_missing_is_said_before_anything_starts(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError,
        match=(
            r"2 of the base models are missing:\n  imagebind: no folder is given\n"
            r"  vicuna: .*/no"
        ),
    ):
        go(options, tmp_path / "s", weights={"vicuna": str(tmp_path / "no")})
    with pytest.raises(UsageError, match=r"has no train_mem.py, which the current launcher starts"):
        go(options, tmp_path / "s", launcher="current")
    with pytest.raises(EnvironmentFailure, match="launcher 'no-deepspeed' is not there"):
        go(options, tmp_path / "s", deepspeed="no-deepspeed")
    with pytest.raises(UsageError, match="data that is not there: data/x: /nowhere"):
        go(options, tmp_path / "s", data={"data/x": "/nowhere"})
    with pytest.raises(UsageError, match="start: /nowhere is not there"):
        go(options, tmp_path / "s", start="/nowhere")
    for wrong, said in (
        ({"stages": [2, 1]}, "stages are 1, 2, 3"),
        ({"stages": [2]}, "stage 2 begins with what the stage before wrote: name it as `start`"),
        ({"data": {"../x": "/"}}, "not a path in the checkout"),
        ({"arguments": {"all": []}}, "of stages 1, 2, 3, not of 'all'"),
    ):
        with pytest.raises(UsageError, match=said):
            go(options, tmp_path / "s", **wrong)


def test_a_checkout_that_is_configured_for_something_else(
    options: dict[str, Any], tmp_path: Path
) -> None:
    code = Path(options["checkout"]) / "code"
    (code / "model").mkdir()
    (code / "model/agent.py").write_text("def load_parameters(self, path): ...\n")
    with pytest.raises(
        UsageError, match="stage 3 drops the embeddings that stages 1 and 2 trained"
    ):
        go(options, tmp_path / "s")
    text = (code / "config/stage_2.yaml").read_text()
    (code / "config/stage_2.yaml").write_text(
        text.replace("freeze_input_proj: true", "freeze_input_proj: False # why not")
    )
    with pytest.raises(
        UsageError, match=r"stage_2.yaml: freeze_input_proj is false, stage 2 is for true"
    ):
        go(options, tmp_path / "s")
    (code / "config/stage_1.yaml").unlink()
    with pytest.raises(UsageError, match=r"config/stage_1.yaml: No such file"):
        go(options, tmp_path / "s")
    assert not (tmp_path / "s").exists()


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
    script.write_text(
        'A=(x y)\nA="${A[@]}"\nB=1\nNOW=$(date)\ndeepspeed --include l:0 train_mem.py \\\n '
        " --names $A --b $B -1 --flag\n"
    )
    assert from_script(script) == {"--names": ["x", "y"], "--b": ["1", "-1"], "--flag": []}
    for text, said in (
        ("deepspeed train_mem.py --a $(touch x)", "for a shell to work out"),
        ("deepspeed train_mem.py --a 1 > log", "'>' is for a shell to work out"),
        ("deepspeed train_mem.py --a $NO", r"uses \$NO, whose value is not in it"),
        ("deepspeed train_mem.py --a 'x", "cannot be read"),
        ("echo nothing", "starts train_mem.py 0 times"),
    ):
        script.write_text(text)
        with pytest.raises(UsageError, match=said):
            from_script(script)
