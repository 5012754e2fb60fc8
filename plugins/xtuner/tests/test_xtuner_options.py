"""What release.yaml may say, and what is known to fail before a training starts."""

from __future__ import annotations

import sys

import pytest
from hubkit_xtuner import checks, command
from hubkit_xtuner.options import Options

from hubkit.sdk import EnvironmentFailure, UsageError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"save_every": 0}, "save_every must be at least 1"),
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"keep": 0}, "keep must be at least 1, or -1"),
        ({"adapter": "best"}, "adapter: best needs keep_best"),
        ({"nodes": 2}, "several nodes need master_addr"),
        ({"nodes": 2, "node_rank": 2, "master_addr": "a"}, "node_rank must be below nodes"),
        ({"config": "my_config.py"}, "config must be an absolute path"),
    ],
)
def test_bad_options(values, message):
    with pytest.raises(ValueError, match=message):
        Options(**values)


def test_the_command_names_its_interpreter(tmp_path):
    """`xtuner train` runs whatever `python` is first on PATH, and ends with 0 when that fails."""
    line = command.command(Options(), tmp_path / "c.py", tmp_path, gpu=False, resume=None)
    assert line == [
        sys.executable,
        "-m",
        "hubkit_xtuner.launch",
        str(tmp_path / "c.py"),
        "--work-dir",
        str(tmp_path),
    ]


def test_one_gpu_goes_through_torchrun_with_zero2(tmp_path):
    """torchrun sets the variables that DeepSpeed asks for, on a single device too."""
    line = command.command(
        Options(), tmp_path / "c.py", tmp_path, gpu=True, resume=tmp_path / "iter_2.pth"
    )
    assert line[:4] == [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    assert line[line.index("--nproc_per_node") + 1] == "1"
    assert line[line.index("--deepspeed") + 1] == "deepspeed_zero2"
    assert line[line.index("--resume") + 1] == str(tmp_path / "iter_2.pth")
    assert line[-2:] == ["--launcher", "pytorch"]


def test_several_nodes(tmp_path):
    options = Options(
        nodes=2,
        node_rank=1,
        devices=8,
        master_addr="10.0.0.1",
        master_port=4000,
        deepspeed="zero3_offload",
    )
    line = command.command(options, tmp_path / "c.py", tmp_path, gpu=True, resume=None)
    where = line[3 : line.index("-m", 3)]
    assert where == [
        *(
            "--nnodes",
            "2",
            "--node_rank",
            "1",
            "--master_addr",
            "10.0.0.1",
            "--master_port",
            "4000",
            "--nproc_per_node",
            "8",
        )
    ]
    assert "deepspeed_zero3_offload" in line
    (other,) = command.for_other_nodes(options, tmp_path / "c.py", tmp_path, None)
    assert other.startswith("node 0: PYTHONPATH=") and "--node_rank 0 " in other


@pytest.mark.parametrize("name", ["zero1", "zero2", "zero2_offload", "zero3", "zero3_offload"])
def test_deepspeed_by_name(name):
    assert command.deepspeed(Options(deepspeed=name), gpu=True) == f"deepspeed_{name}"
    assert Options(deepspeed=f"deepspeed_{name}") == Options(deepspeed=name)


def test_deepspeed_is_left_out_on_a_cpu_or_when_told():
    assert command.deepspeed(Options(), gpu=False) == ""
    assert command.deepspeed(Options(deepspeed="none"), gpu=True) == ""


def test_variables():
    """Without the first, torch 2.6 and newer refuse mmengine's own checkpoints when resuming."""
    made = command.variables(
        Options(threads=3, attention="eager", allow_remote_code=True), {"HOME": "/h"}
    )
    assert made["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert (
        made["OMP_NUM_THREADS"],
        made["HUBKIT_XTUNER_CODE"],
        made["HUBKIT_XTUNER_ATTENTION"],
    ) == ("3", "remote", "eager")
    assert made["HOME"] == "/h"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "device is cuda, but torch sees no GPU"),
        ({"devices": 2}, "several devices need GPUs"),
        ({"nodes": 2, "master_addr": "a"}, "several devices need GPUs"),
    ],
)
def test_devices_that_are_not_there(options, message, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentFailure, match=message):
        checks.uses_gpu(Options(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deepspeed": "zero2"}, "deepspeed_zero2 needs GPUs"),
        ({"quantize": True}, "QLoRA.* needs a GPU"),
        ({"attention": "flash_attention_2"}, "flash-attn is not installed"),
    ],
)
def test_what_a_cpu_cannot_do(options, message):
    with pytest.raises(EnvironmentFailure, match=message):
        checks.installed(Options(**options), gpu=False)


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="resume: there is no"):
        checks.files(Options(resume=str(tmp_path / "iter_9.pth")))


def test_disk(tmp_path):
    checks.disk(tmp_path, 1, 1)
    with pytest.raises(
        EnvironmentFailure, match=r"10 checkpoints and the adapter need 1000000000\.0 GB"
    ):
        checks.disk(tmp_path, 10**18, 10)


def test_an_edited_configuration_is_another_training(tmp_path):
    """The stage's inputs name the file's path; they must change with its content, too."""
    from hubkit.pipeline.stage import plugin_inputs

    path = tmp_path / "my_config.py"
    path.write_text("lr = 1e-5\n", "utf-8")
    options = {"config": str(path)}
    before = plugin_inputs("trainer", "xtuner", options)
    assert plugin_inputs("trainer", "xtuner", options) == before
    path.write_text("lr = 1.5e-5\n", "utf-8")
    after = plugin_inputs("trainer", "xtuner", options)
    assert {key for key in before if before[key] != after[key]} == {"options.config.file"}
