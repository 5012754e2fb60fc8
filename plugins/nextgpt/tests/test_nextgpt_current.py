"""The current code: its scripts, its files, and how a stage continues at its own checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hubkit_nextgpt.command import plan
from hubkit_nextgpt.options import Options
from hubkit_nextgpt.stages import Stage, run_stages

from hubkit.sdk import PluginError, RefusedError, SilentRun, UsageError
from hubkit.sdk.codec import decode

OUTPUTS = ["image output projection", "video output projection", "audio output projection"]


def go(options: dict[str, Any], scratch: Path, **more: Any) -> tuple[Stage, ...]:
    return run_stages(decode(Options, {**options, **more}, "options"), scratch, SilentRun())


@pytest.mark.integration
def test_the_stages_hand_their_files_on(trained_current: tuple[Stage, ...]) -> None:
    one, two, three = trained_current
    assert {title: g.new for title, g in one.report.groups.items()} == {
        "input projection": 544,
        "embeddings": 2 * 46 * 32,
    }
    assert [two.report.groups[title].new for title in OUTPUTS] == [792, 792, 264]
    assert (
        two.report.groups["input projection"].changed == 0
        and two.report.groups["embeddings"].changed == 2 * 46 * 32
    )
    groups = three.report.groups
    assert groups["input projection"].changed == 544 and [
        groups[title].changed for title in OUTPUTS
    ] == [792, 792, 264]
    assert (groups["LoRA"].tensors, three.report.lora_rank, three.alpha) == (14, 6, 12), (
        "seven linears of one layer"
    )
    written = {
        path.name for path in three.folder.iterdir() if path.suffix in (".bin", ".safetensors")
    }
    assert written == {
        "mm_input_projector.bin",
        "mm_output_projector.bin",
        "adapter_model.safetensors",
        "non_lora_trainables.bin",
    }
    config = json.loads((three.folder / "config.json").read_text())
    assert config["multimodal_input_tower"] == "./pretrain_ckpt/imagebind", (
        "no path of this machine"
    )
    assert config["image_decoder"] == "stabilityai/stable-diffusion-2"
    assert "/" not in json.loads((three.folder / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ].removeprefix("./pretrain_ckpt/")
    assert (
        not list(three.folder.glob("checkpoint-*"))
        and (three.folder.parent / "stage-3-runs").is_dir()
    )


@pytest.mark.integration
def test_the_lora_that_the_code_on_github_freezes(
    current: dict[str, Any], trained_current: tuple[Stage, ...], tmp_path: Path
) -> None:
    given = {"stages": (3,), "start": str(trained_current[1].folder)}
    with pytest.raises(
        RefusedError, match=r"stage 3 of NExT-GPT would train nothing: .* trainable params: 0 "
    ) as caught:
        go(current, tmp_path / "scratch", **given, arguments={"3": ["--misbehave", "upstream"]})
    assert "`model.requires_grad_(False)` of train.py also freezes the LoRA" in caught.value.remedy
    with pytest.raises(
        RefusedError, match="it did not train its LoRA: all 7 lora_B are zero"
    ) as caught:
        go(
            current,
            tmp_path / "scratch",
            **given,
            arguments={"3": ["--misbehave", "upstream", "--tune_mm_input_adapter", "True"]},
        )
    assert "freezes the LoRA" in caught.value.remedy


@pytest.mark.integration
def test_a_stage_continues_at_its_own_checkpoint(
    current: dict[str, Any], trained_current: tuple[Stage, ...], tmp_path: Path, told: Path
) -> None:
    given = {"stages": (2,), "start": str(trained_current[0].folder)}
    first, other = ({"2": ["--misbehave", "crash", *more]} for more in ((), ("--bf16", "False")))
    for arguments in (first, other):
        with pytest.raises(PluginError, match="the GPU fell off"):
            go(current, tmp_path / "scratch", **given, arguments=arguments)
    assert not told.exists(), "other arguments: from the beginning, where it crashes again"
    work = tmp_path / "scratch/work"
    (work / "checkpoint-4").mkdir()
    (work / "mm_output_projector.bin").write_bytes(b"half a file")
    (done,) = go(current, tmp_path / "scratch", **given, arguments=other)
    assert told.read_text() == "2 steps\n" and not list(done.folder.glob("checkpoint-*"))
    assert done.report.groups[OUTPUTS[2]].new == 264


@pytest.mark.integration
def test_stage_1_cannot_continue_and_begins_anew(
    current: dict[str, Any], tmp_path: Path, told: Path
) -> None:
    for text in ("the GPU fell off", "the GPU fell off"):
        with pytest.raises(PluginError, match=text):
            go(
                current,
                tmp_path / "scratch",
                stages=(1,),
                arguments={"1": ["--misbehave", "crash"]},
            )
    assert (
        not (tmp_path / "scratch/work/checkpoint-2/trainer_state.json").exists()
        and not told.exists()
    )


def test_what_a_script_says_and_what_is_put_in(
    current: dict[str, Any], parts: Path, tmp_path: Path
) -> None:
    current["lora_rank"] = 3
    launches = plan(decode(Options, current, "options"), Path(current["checkout"]))
    one, two, three = launches.values()
    assert (
        one.own["pretrain_ckpt/imagebind"] == parts / "imagebind"
        and "stabilityai/stable-diffusion-2" not in one.own
    )
    assert two.own["stabilityai/stable-diffusion-2"] == parts / "stable_diffusion"
    assert (one.rank, three.rank, three.alpha) == (0, 3, 12)
    before, out = tmp_path / "before", tmp_path / "out"
    with pytest.raises(
        UsageError, match=r"stage 2 begins with mm_input_projector.bin, which is not there"
    ):
        two.command(None, out)
    before.mkdir()
    (before / "mm_input_projector.bin").touch()
    line = two.command(before, out)
    assert (
        line[1:4] == ["--include", "localhost:0", "train_mem.py"]
        and line.count("--output_dir") == 1
    )
    assert line[line.index("--output_dir") + 1] == str(out)
    assert line[line.index("--pretrain_mm_input_adapter") + 1] == str(
        before / "mm_input_projector.bin"
    )
    assert line[line.index("--dataset_name_list") + 1 :][:2] == ["audiocap", "cc3m"]
    with pytest.raises(UsageError, match=r"stage 3 begins with mm_output_projector.bin"):
        three.command(before, out)


@pytest.mark.parametrize("path", ["/models/prompts/vicuna", "../vicuna"])
def test_paths_that_the_code_would_misread(current: dict[str, Any], parts: Path, path: str) -> None:
    current["arguments"] = {
        "1": ["--model_name_or_path", path, "--multimodal_tower", "./towers/ib"]
    }
    own = plan(decode(Options, current, "options"), Path(current["checkout"]))[1].own
    assert (
        own["pretrain_ckpt/vicuna-7b-v1.5"] == parts / "vicuna"
        and own["pretrain_ckpt/imagebind"] == parts / "imagebind"
    )


@pytest.mark.parametrize(
    ("stage", "arguments", "said"),
    [
        (
            1,
            ["--tune_mm_output_img_adapter"],
            "stage 1 must train the input projection alone, .*--tune_mm_output_img_adapter",
        ),
        (1, ["--freeze_mm_input_adapter", "True"], "this would train nothing"),
        (
            2,
            ["--tune_mm_output_aud_adapter", "False"],
            "stage 2 must train output projections alone, this would train nothing",
        ),
        (
            2,
            ["--tune_mm_input_adapter", "True", "--freeze_mm_input_adapter", "False"],
            "would train --tune_mm_input_adapter, --tu",
        ),
        (3, ["--lora_enable", "False"], r"finetune.sh: stage 3 must train a LoRA"),
        (3, ["--lora_r", "many"], "whole numbers are expected"),
        (1, ["--output_dir", "x"], "arguments of stage 1: --output_dir is hubkit's to give"),
    ],
)
def test_flags_that_train_something_else(
    current: dict[str, Any], stage: int, arguments: list[str], said: str
) -> None:
    current["arguments"] = {str(stage): arguments}
    with pytest.raises(UsageError, match=said):
        plan(decode(Options, current, "options"), Path(current["checkout"]))


def test_a_stage_needs_the_models_that_its_script_names(current: dict[str, Any]) -> None:
    current["weights"] = {}
    with pytest.raises(
        UsageError, match=r"5 of the base models are missing:\n  audioldm: no folder is given"
    ):
        plan(decode(Options, current, "options"), Path(current["checkout"]))
    with pytest.raises(
        UsageError, match=r"2 of the base models are missing:\n  imagebind: .*\n  vicuna"
    ):
        plan(decode(Options, {**current, "stages": [1]}, "options"), Path(current["checkout"]))
