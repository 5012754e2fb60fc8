"""Log lines, checkpoints, and what counts as success."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from hubkit_xtuner import adapter, checkpoints, command, log, running, schedule
from hubkit_xtuner.log import Line
from hubkit_xtuner.options import Options
from hubkit_xtuner.setup import Training

from hubkit.sdk import CancelledError, EnvironmentFailure, PluginError, SilentRun
from hubkit.weights.adapters.formats import read_adapter

torch = pytest.importorskip("torch")

LINE = (
    "11/21 09:43:18 - mmengine - INFO - Iter(train) [ 64/640]  lr: 2.9e-05  eta: 1 day, 0:10:00  "
    "time: 1.5000  data_time: 0.0484  memory: 17540  loss: 0.1087  grad_norm: 0.9596"
)
A = "model.language_model.base_model.model.model.layers.0.attention.wqkv.lora_A.default.weight"
B = A.replace("lora_A", "lora_B")


def state(**others):
    return {
        A: torch.randn(4, 8),
        B: torch.ones(6, 4),
        "model.mlp1.0.weight": torch.ones(8),
        **others,
    }


def save(path, step=0):
    torch.save({"state_dict": state(), "meta": {"cfg": "model = dict()", "iter": step}}, path)


def training(job, tmp_path, **options):
    one = job()
    (one.scratch / "work").mkdir()
    plan = schedule.Plan(8, 4, 2, (2, 4, 6, 8), 2, 16)
    config = {"train_dataloader": {"batch_size": 2}}
    return Training(
        one, Options(**options), {}, None, (), config, one.scratch / "c.py", {}, plan, 64, False
    )


def test_a_line_of_the_log():
    assert log.parse(LINE) == Line(64, 640, 0.1087, 2.9e-05, 87000.0, 1.5)
    assert log.parse("11/21 - mmengine - INFO - Saving checkpoint at 64 iterations") is None
    assert log.parse("Iter(train) [ 64/640]  lr: 1e-3  loss: nan").loss != 0
    assert log.parse("Iter(train) [ 64/640]  lr: 1e-3") is None


def test_a_continued_training_overrides_what_came_after_its_checkpoint(tmp_path):
    for number, losses in (("20260101_1", (4.0, 3.0, 9.0)), ("20260101_2", (2.0, 1.0))):
        (tmp_path / number).mkdir()
        first = 1 if number.endswith("1") else 3
        text = "".join(
            f"Iter(train) [{first + i}/4]  lr: 1.0000e-03  loss: {loss}\n"
            for i, loss in enumerate(losses)
        )
        (tmp_path / number / f"{number}.log").write_text(text, "utf-8")
    lines = log.read(tmp_path)
    assert [(step, line.loss) for step, line in lines.items()] == [
        (1, 4.0),
        (2, 3.0),
        (3, 2.0),
        (4, 1.0),
    ]
    log.write_metrics(lines.values(), tmp_path / "metrics.jsonl")
    written = [
        json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert written[3] == {"step": 4, "loss": 1.0, "learning_rate": 0.001}


def test_half_a_checkpoint_is_none(tmp_path):
    save(tmp_path / "iter_2.pth")
    whole = (tmp_path / "iter_2.pth").read_bytes()
    (tmp_path / "iter_4.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "iter_6.pth").mkdir()
    (tmp_path / "iter_6.pth" / "mp_rank_00_model_states.pt").write_bytes(whole)
    assert list(checkpoints.found(tmp_path)) == [2]
    (tmp_path / "iter_6.pth" / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(whole)
    assert list(checkpoints.found(tmp_path)) == [2, 6]
    assert checkpoints.found(tmp_path / "absent") == {}


def test_the_last_and_the_best_are_kept(tmp_path):
    for step in (2, 4, 6, 8):
        save(tmp_path / f"iter_{step}.pth")
    lines = {
        step: Line(step, 8, loss, 0.0) for step, loss in enumerate((5, 5, 1, 2, 3, 3, 4, 4), 1)
    }
    losses = checkpoints.mean_losses([2, 4, 6, 8], lines)
    assert losses == {2: 5.0, 4: 1.5, 6: 3.0, 8: 4.0}
    assert checkpoints.best(losses, 2) == [4, 6]
    checkpoints.prune(tmp_path, losses, newest=1, lowest=1)
    assert list(checkpoints.found(tmp_path)) == [4, 8]


def test_the_verdict_counts_parameters():
    assert adapter.judge(state(), 64, 64) == 64
    with pytest.raises(PluginError, match="holds 64 parameters, the configuration gives 65"):
        adapter.judge(state(), 65, 64)
    with pytest.raises(PluginError, match="holds 64 parameters, xtuner counted 63"):
        adapter.judge(state(), None, 63)
    with pytest.raises(PluginError, match="without tensors"):
        adapter.judge({}, None, 0)


def test_the_verdict_on_the_numbers():
    with pytest.raises(EnvironmentFailure, match="1 of 3 tensors hold numbers that are not finite"):
        adapter.judge(state(**{A: torch.full((4, 8), float("nan"))}), 64, 64)
    with pytest.raises(PluginError, match="every lora_B is zero"):
        adapter.judge(state(**{B: torch.zeros(6, 4)}), 64, 64)


def test_what_is_handed_on_is_the_same_bytes_and_merges(tmp_path):
    """hubkit's reader takes it without running its pickle."""
    made, lora = (
        state(),
        {"type": "peft.LoraConfig", "r": 4, "lora_alpha": 8, "target_modules": None},
    )
    config = {
        "model": {"type": "xtuner.model.InternVL_V1_5", "model_path": "/home/x", "llm_lora": lora}
    }
    (tmp_path / "again").mkdir()
    for path in (tmp_path / "iter_8.pth", tmp_path / "again" / "iter_8.pth"):
        adapter.write(dict(reversed(made.items())), config, path)
    one, two = ((folder / "iter_8.pth").read_bytes() for folder in (tmp_path, tmp_path / "again"))
    assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest()
    assert b"/home/x" not in one
    found = read_adapter(tmp_path / "iter_8.pth")
    try:
        (only,) = found.loras
        assert (only.rank, only.scale, only.module) == (
            4,
            2.0,
            "language_model.model.layers.0.attention.wqkv",
        )
        assert [replaced.tensor for replaced in found.replacements] == ["mlp1.0.weight"]
    finally:
        found.source.close()


def test_deepspeeds_folder_is_read(tmp_path):
    folder = tmp_path / "iter_2.pth"
    folder.mkdir()
    made = state()
    torch.save({"module": made, "ds_version": "0.16.2"}, folder / checkpoints.STATES)
    assert torch.equal(adapter.read(folder)[B], made[B])


def test_exit_code_0_without_a_checkpoint_is_no_success(job, tmp_path, monkeypatch):
    one = training(job, tmp_path)
    monkeypatch.setattr(
        command,
        "command",
        lambda *_, **__: [sys.executable, "-c", "print('ModuleNotFoundError: xtuner')"],
    )
    with pytest.raises(
        PluginError,
        match="ended with exit code 0 after iteration 0 of 8, without its last checkpoint",
    ) as caught:
        running.train(one, SilentRun())
    assert "ModuleNotFoundError: xtuner" in caught.value.message


def test_a_failing_exit_code_after_the_last_checkpoint_is_success(job, tmp_path, monkeypatch):
    one = training(job, tmp_path)
    save(tmp_path / "made.pth")
    program = (
        f"import shutil, sys; shutil.copy({str(tmp_path / 'made.pth')!r}, "
        f"{str(one.work / 'iter_8.pth')!r}); sys.exit(1)"
    )
    monkeypatch.setattr(command, "command", lambda *_, **__: [sys.executable, "-c", program])
    assert running.train(one, SilentRun()) == {}
    assert list(checkpoints.found(one.work)) == [8]


def test_memory_that_ran_out_is_called_so(job, tmp_path, monkeypatch):
    one = training(job, tmp_path)
    program = (
        "import sys; sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 "
        "GiB')"
    )
    monkeypatch.setattr(command, "command", lambda *_, **__: [sys.executable, "-c", program])
    with pytest.raises(EnvironmentFailure, match="not enough memory for batches of 2") as caught:
        running.train(one, SilentRun())
    assert "lower batch_size and raise accumulation" in caught.value.remedy


def test_it_goes_on_from_the_newest_whole_checkpoint(job, tmp_path):
    one, run = training(job, tmp_path), SilentRun()
    assert running.newest(one.work, one.options, run) is None
    save(one.work / "iter_2.pth")
    (one.work / "iter_4.pth").write_bytes(b"PK\x03\x04 cut")
    assert running.newest(one.work, one.options, run) == one.work / "iter_2.pth"
    (one.work / "iter_2.pth").unlink()
    named = Options(resume="/a/iter_1.pth")
    assert running.newest(one.work, named, run) == Path("/a/iter_1.pth")


def test_other_nodes_do_their_part_and_stop(job, tmp_path, monkeypatch):
    one = training(job, tmp_path, nodes=2, node_rank=1, master_addr="10.0.0.1")
    monkeypatch.setattr(command, "command", lambda *_, **__: [sys.executable, "-c", "pass"])
    with pytest.raises(CancelledError, match="node 1 has done its part"):
        running.train(one, SilentRun())


def test_progress_has_loss_and_time_left(job, tmp_path):
    class Watching(SilentRun):
        seen: tuple = ()

        def progress(self, done, total, unit, **numbers):
            self.seen = (done, total, unit, numbers)

    run, one = Watching(), training(job, tmp_path)
    running._told("another line", one, run)
    assert run.seen == ()
    running._told(LINE, one, run)
    assert run.seen == (64, 640, "iterations", {"loss": 0.1087, "eta_seconds": 87000.0})


def test_the_end_of_a_log_is_the_cause(job, tmp_path):
    (tmp_path / "train.log").write_text(
        f"starting\n{LINE}\nTraceback (most recent call last):\nValueError: bad\n{LINE}\n", "utf-8"
    )
    said = str(running._failure(training(job, tmp_path), 1, tmp_path / "train.log"))
    assert (
        "checkpoint\n    Traceback (most recent call last):\n    ValueError: bad\n  remedy" in said
    )
