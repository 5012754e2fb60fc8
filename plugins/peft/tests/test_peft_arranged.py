"""Where the model's own processor arranges the pictures, the fast implementation is the same
function as the modules too: sections of positions, windows, what is seen at several depths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from testing.tiny_processor import (
    NEXT,
    ONEVISION,
    QWEN,
    QWEN2,
    QWEN3,
    jobs,
    make,
    pictures,
    records,
)

from hubkit.sdk import CancelledError, SilentRun

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

ODD = {**QWEN.config, "vision_config": {**QWEN.config["vision_config"], "intermediate_size": 60}}
KINDS = {
    "qwen2.5-vl": replace(QWEN, config=ODD),
    "qwen3-vl": QWEN3,
    **{"qwen2-vl": QWEN2, "llava-next": NEXT, "llava-onevision": ONEVISION},
}
NUMBERS = range(4)


@pytest.fixture(scope="module", params=KINDS)
def job(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("arranged")
    base = make(KINDS[request.param], place / "base")
    return jobs(base, place / "jobs", records(), pictures(place / "images"))[0]


def prepared(job: Any, implementation: str, **options: Any) -> Any:
    """The training, set up, with LoRAs that are not 0, the same for both implementations."""
    from hubkit_peft import setup
    from hubkit_peft.options import Options

    settings = {**job.options, **options, "implementation": implementation}
    training = setup.prepare(job, Options(**settings), SilentRun())[0]
    dice = torch.Generator().manual_seed(3)
    for name, parameter in training.model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=dice) * 0.1)
    return training


def learnt(training: Any, numbers: Any, packing: str = "auto") -> tuple[float, dict[str, Any]]:
    batch = training.program.collate([training.examples[n] for n in numbers], numbers, 0, packing)
    training.model.zero_grad()
    loss = training.program.loss(batch, learning=True)
    loss.backward()
    named = training.model.named_parameters()
    return loss.item(), {name: p.grad.clone() for name, p in named if p.grad is not None}


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[n] - other[n]).norm() / other[n].norm().clamp_min(1e-6)) for n in other)


def test_packed_or_padded_it_learns_what_the_modules_do(job: Any) -> None:
    fast, plain = prepared(job, "auto"), prepared(job, "plain")
    names = [type(each.program).__name__ for each in (fast, plain)]
    assert names == ["Arranged", "Plain"]
    expected, gradients = learnt(plain, NUMBERS)
    for packing in ("never", "always"):
        loss, own = learnt(fast, NUMBERS, packing)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert apart(own, gradients) < 1e-4
    alone = [learnt(plain, [number])[0] for number in NUMBERS]
    assert [learnt(fast, [number])[0] for number in NUMBERS] == pytest.approx(alone, rel=1e-5)
    assert sum(alone) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("job", ["qwen2.5-vl"], indirect=True)
def test_a_vit_with_loras_and_dropout_that_belongs_to_the_sample(job: Any) -> None:
    """PEFT's own dropout, in the vision transformer, is drawn, hence left out there."""
    both = {"lora": ("llm", "vit")}
    fast, plain = (prepared(job, name, **both) for name in ("auto", "plain"))
    (one, own), (other, expected) = learnt(fast, NUMBERS), learnt(plain, NUMBERS)
    assert one == pytest.approx(other, rel=1e-5)
    assert apart(own, expected) < 1e-4 and any("visual.blocks" in name for name in own)
    dropping = prepared(job, "auto", dropout=0.3)
    packed, expected = learnt(dropping, NUMBERS, "always")
    padded, own = learnt(dropping, NUMBERS, "never")
    assert padded == pytest.approx(packed, rel=1e-5) and abs(packed - other) > 1e-3
    assert apart(own, expected) < 1e-4


@pytest.mark.parametrize("job", ["qwen2.5-vl", "qwen3-vl"], indirect=True)
def test_kept_features_of_a_frozen_vit_change_nothing(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs of four records, two of them in a batch, and no example is kept."""
    from hubkit_peft import PeftTrainer, examples, loop
    from hubkit_peft.fast import blocks

    monkeypatch.setattr(examples, "_CACHE_BYTES", 0)
    seen: list[int] = []
    answered = blocks._answered
    monkeypatch.setattr(
        blocks, "_answered", lambda *inputs: seen.append(len(inputs[1])) or answered(*inputs)
    )
    curves, patches = [], []
    for name, kept in (("again", 0.0), ("kept", "auto")):
        seen.clear()
        places = {part: tmp_path / f"{name}-{part}" for part in ("output", "scratch")}
        for place in places.values():
            place.mkdir()
        options = {**job.options, "steps": 6, "batch_size": 2, "cache_vision": kept}
        PeftTrainer().train(replace(job, options=options, **places), SilentRun())
        curves.append((places["output"] / loop.METRICS).read_text("utf-8"))
        patches.append(sum(seen))
    assert curves[0] == curves[1]
    assert patches[0] == 3 * patches[1]


class Interrupted(SilentRun):
    """After three steps."""

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if (unit, done) == ("steps", 3):
            raise CancelledError("interrupted", "run again")


@pytest.mark.parametrize("job", ["qwen2.5-vl"], indirect=True)
def test_interrupted_in_the_second_epoch_it_ends_in_the_same_bytes(
    job: Any, tmp_path: Path
) -> None:
    """The features of the first are made again."""
    from hubkit_peft import PeftTrainer, loop

    options = {**job.options, "steps": 6, "batch_size": 2, "checkpoint_every": 1, "dropout": 0.2}
    found = []
    for name in ("whole", "broken"):
        places = {part: tmp_path / f"{name}-{part}" for part in ("output", "scratch")}
        for place in places.values():
            place.mkdir()
        made = replace(job, options=options, **places)
        if name == "broken":
            with pytest.raises(CancelledError):
                PeftTrainer().train(made, Interrupted())
        done = PeftTrainer().train(made, SilentRun())
        files = (loop.METRICS, f"{done.adapter}/adapter_model.safetensors")
        found.append([(made.output / file).read_bytes() for file in files])
    assert found[0] == found[1]


@pytest.mark.parametrize("job", ["qwen2.5-vl"], indirect=True)
def test_reading_in_threads_changes_nothing(job: Any) -> None:
    one, several = (prepared(job, "auto", workers=count) for count in (0, 3))
    assert one.sizes == several.sizes
    assert learnt(one, NUMBERS)[0] == learnt(several, NUMBERS)[0]


@pytest.mark.integration
@pytest.mark.parametrize("job", ["qwen2.5-vl"], indirect=True)
def test_compiled_is_the_same(job: Any) -> None:
    """Batches of other sizes too; a layer's two steps are compiled once for all layers."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    ways = [prepared(job, "auto", dropout=0.3, compile=way) for way in (False, True)]
    for numbers in (NUMBERS, (2, 0), (1, 3)):
        (eager, expected), (loss, own) = (learnt(each, numbers) for each in ways)
        assert loss == pytest.approx(eager, rel=1e-5)
        assert apart(own, expected) < 1e-4
    assert counters["stats"]["unique_graphs"] <= 8


@pytest.mark.parametrize("job", ["qwen2.5-vl"], indirect=True)
@pytest.mark.parametrize(
    ("key", "value"),
    [("model_type", "granite"), ("sliding_window", 16), ("attention_dropout", 0.1)],
)
def test_layers_that_do_something_else_stay_the_modules(job: Any, key: str, value: Any) -> None:
    from hubkit_peft.fast import decoder

    text = prepared(job, "auto").model.get_base_model().model.language_model
    assert decoder.fits(text, 100)
    setattr(text.config, key, value)
    assert not decoder.fits(text, 100)
