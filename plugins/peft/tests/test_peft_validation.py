"""Records set aside, the best state, the prompt that is told, and what is predicted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer, compiling
from hubkit_peft.checked import records_of
from hubkit_peft.forecast import BATCHES, Predictor, Size
from hubkit_peft.options import Options

from hubkit.sdk import EnvironmentFailure, SilentRun, UsageError

pytest.importorskip("peft")


def lines(job):
    return [
        json.loads(line) for line in (job.output / "metrics.jsonl").read_text("utf-8").splitlines()
    ]


def test_validation_loss_is_taken_when_asked_and_at_the_end(job):
    done = job(steps=5, validation=3, validate_every=2, dropout=0.3)
    PeftTrainer().train(done, SilentRun())
    assert [line["step"] for line in lines(done) if "validation_loss" in line] == [2, 4, 5]


def test_best_state_is_kept(job, records):
    """What is learnt contradicts what is judged by, which the base knows well: the best state is an
    early one, and the adapter is that."""
    settings = {"steps": 4, "validation": 4, "validate_every": 1, "learning_rate": 0.003}
    kept = {one.id for one in records_of(job(**settings), Options(validation=4))[-4:]}
    taught = [
        record
        if record.id in kept
        else replace(record, turns=(replace(record.turns[0], answer="a tree"),))
        for record in records
    ]
    best, last = (
        job(taught, name="best", keep="best", **settings),
        job(taught, name="last", **settings),
    )
    for each in (best, last):
        PeftTrainer().train(each, SilentRun())
    assert lines(best) == lines(last)
    losses = [line["validation_loss"] for line in lines(best)]
    step = losses.index(min(losses)) + 1
    assert step < 4
    short = job(taught, name="short", **settings)
    from hubkit_peft import adapter, setup, state

    training, *_ = setup.prepare(short, Options(**{**short.options, "keep": "best"}), SilentRun())
    state.restore_best(best.scratch, step, training.model)
    adapter.write(training.model, short.output / "adapter")
    name = "adapter/adapter_model.safetensors"
    assert (short.output / name).read_bytes() == (best.output / name).read_bytes()
    assert (last.output / name).read_bytes() != (best.output / name).read_bytes()


def test_it_is_compiled_where_that_can_be(monkeypatch, tmp_path):
    headers = tmp_path / "include"
    headers.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    monkeypatch.setattr(compiling.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(compiling.sysconfig, "get_config_var", lambda name: str(headers))
    assert (
        compiling.settle(Options(), "cpu")
        == compiling.settle(Options(compile=False), "cuda")
        == (False, "")
    )
    assert compiling.settle(Options(compile=True, implementation="plain"), "cuda") == (False, "")
    assert compiling.settle(Options(quantize="4bit"), "cuda") == (False, "")
    assert "that needs Triton" in compiling.settle(Options(), "cuda")[1]
    monkeypatch.setattr(compiling, "find_spec", lambda name: name)
    compiled, why = compiling.settle(Options(), "cuda")
    assert not compiled and "that needs a C compiler; install a compiler" in why
    with pytest.raises(EnvironmentFailure, match="compile: true needs a C compiler"):
        compiling.settle(Options(compile=True), "cuda")
    (tmp_path / "gcc").touch(0o755)
    assert "that needs Python.h" in compiling.settle(Options(), "cuda")[1]
    (headers / "Python.h").touch()
    assert (
        compiling.settle(Options(), "cuda")
        == compiling.settle(Options(compile=True), "cuda")
        == (True, "")
    )
    monkeypatch.setenv("CC", "icx")
    assert "that needs a C compiler" in compiling.settle(Options(), "cuda")[1]


def test_without_a_compiler_a_compiled_training_does_not_begin(job, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(EnvironmentFailure, match=r"compile: true needs a C\+\+ compiler"):
        PeftTrainer().train(job(compile=True), SilentRun())


def test_nothing_left_to_learn_from(job, records):
    with pytest.raises(UsageError, match="validation is 2, there are 2 records"):
        PeftTrainer().train(job(records[:2], validation=2), SilentRun())


def test_best_needs_validation():
    with pytest.raises(ValueError, match="keep: best needs validation"):
        Options(keep="best")


def test_prompt_is_told_with_its_ids(job, native):
    from hubkit.sdk.processing import load_tokenizer

    done = job(steps=1)
    output = PeftTrainer().train(done, SilentRun())
    expected = (
        "<s><|im_start|>user\n<img><IMG_CONTEXT></img>\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert output.prompt == expected
    assert load_tokenizer(native).decode(output.prompt_ids) == expected
    assert output.prompt_ids.count(7) == 1


SHAPES = {
    "text_config": {
        "num_hidden_layers": 24,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "vocab_size": 92553,
    },
    "vision_config": {
        "num_hidden_layers": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "image_size": [448, 448],
        "patch_size": [14, 14],
    },
}
SIZES = [Size(1890, 48, 7)] * 64
WEIGHTS, TRAINED = 2_205_754_368 * 2, 151_000_000


def test_predictions_at_2b_are_those_measured_on_an_h200():
    """Measured by benchmarks/train_gpu.py: 37.1 GiB at batch 8 (rank 128, dropout 0.05), 35.7
    without dropout."""
    predictor = Predictor(SHAPES, Options(rank=128, dropout=0.05), WEIGHTS, TRAINED)
    assert predictor.operations(SIZES[0]) == pytest.approx(19.3e12, rel=0.02)
    assert predictor.memory(SIZES, 8, False, 2) / 2**30 == pytest.approx(37.1, rel=0.1)
    without = Predictor(SHAPES, Options(rank=128), WEIGHTS, TRAINED)
    assert without.memory(SIZES, 8, False, 2) / 2**30 == pytest.approx(35.7, rel=0.12)


def test_batch_and_checkpointing_are_chosen_by_what_fits():
    def choose(free, **options):
        return Predictor(SHAPES, Options(rank=128, **options), WEIGHTS, TRAINED).choose(
            SIZES, free * 2**30, 2
        )

    assert choose(139, batch_size=0) == (BATCHES[0], False)
    assert choose(60, batch_size=0) == (8, False)
    assert choose(24, batch_size=8) == (8, True)
    assert choose(139, batch_size=8) == (8, False)
    assert choose(24, batch_size=8, gradient_checkpointing=False) == (8, False)


def test_shares_are_foreseen():
    whole, shared = (
        Predictor(SHAPES, Options(rank=128), WEIGHTS, TRAINED, shares) for shares in (1, 8)
    )
    saved = whole.memory(SIZES, 8, True, 2) - shared.memory(SIZES, 8, True, 2)
    ends, layer = 2 * 2 * 92553 * 2048, 2 * 2048 * (2 * 2048 + 2 * 1024 + 3 * 8192)
    assert saved == pytest.approx((WEIGHTS - ends) * 7 / 8 - 2 * layer, abs=8)


def test_a_training_is_foreseen_without_its_weights(job):
    """The same numbers as when the model is loaded, from a folder that has none."""
    from hubkit_peft import dry_run, setup

    made = job(epochs=2.0, steps=0, batch_size=4, validation=2)
    options = Options(**made.options)
    bare = made.output.with_name("bare")
    bare.mkdir()
    for path in (path for path in made.native.iterdir() if path.suffix != ".safetensors"):
        (bare / path.name).write_bytes(path.read_bytes())
    told = dry_run.foresee(replace(made, native=bare), options, SilentRun())
    assert (told.steps, told.samples, told.batch_size) == (5, 20, 4)
    training = setup.prepare(made, options, SilentRun())[0]
    loaded = dry_run.predicted(
        made, options, training.model, training.sizes, training.learnt, training.gang, 2**62
    )
    assert (told.steps, told.samples, told.batch_size, told.memory) == (
        loaded.steps,
        loaded.samples,
        loaded.batch_size,
        loaded.memory,
    )
    assert told.seconds > 0 and "TFLOP a record" in told.notes[0]
