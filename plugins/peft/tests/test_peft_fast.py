"""The fast implementation is the same function as transformers' and PEFT's modules: values,
gradients, losses, masks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer

from hubkit.sdk import SilentRun

torch = pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.fixture
def training(job):
    """Two trainings of one job, set up: fast and plain."""
    from hubkit_peft import setup
    from hubkit_peft.options import Options

    def build(implementation, chosen=None, **options):
        made = job(chosen, name="-".join(map(str, [implementation, *options.values()])), **options)
        settings = Options(**{**made.options, "implementation": implementation})
        return setup.prepare(made, settings, SilentRun())[0]

    return build


def warmed(model):
    """B starts at 0, where A gets no gradient: give it values, the same for every model."""
    dice = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=dice) * 0.02)


def loss_and_gradients(training, numbers, packing="auto"):
    batch = training.program.collate([training.examples[n] for n in numbers], numbers, 0, packing)
    training.model.zero_grad()
    loss = training.program.loss(batch, learning=True)
    loss.backward()
    return loss.item(), {
        n: p.grad.clone() for n, p in training.model.named_parameters() if p.grad is not None
    }


def apart(one, other):
    assert one.keys() == other.keys()
    return max(((one[n] - other[n]).norm() / other[n].norm().clamp_min(1e-9)).item() for n in other)


def test_loss_and_every_gradient_are_those_of_peft(training):
    fast, plain = training("auto"), training("plain")
    assert (type(fast.program).__name__, type(plain.program).__name__) == ("Fast", "Plain")
    for each in (fast, plain):
        warmed(each.model)
    one, gradients = loss_and_gradients(fast, range(12))
    other, expected = loss_and_gradients(plain, range(12))
    assert one == pytest.approx(other, rel=1e-5)
    assert len(expected) == 4 * 7 * 2 + 6
    assert apart(gradients, expected) < 1e-4


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_packed_padded_and_one_by_one_are_the_same(training, dropout):
    """With dropout too: a mask belongs to a sample's token, wherever it stands."""
    fast = training("auto", dropout=dropout)
    warmed(fast.model)
    padded, gradients = loss_and_gradients(fast, range(12), "never")
    packed, expected = loss_and_gradients(fast, range(12), "always")
    assert packed == pytest.approx(padded, rel=1e-5)
    assert apart(gradients, expected) < 1e-4
    singles = [loss_and_gradients(fast, [number])[0] for number in range(12)]
    assert sum(singles) == pytest.approx(packed, rel=1e-5)


def test_spans_are_even_where_that_costs_little():
    from hubkit_peft.batch import _spans

    assert _spans([100, 98, 101], "auto") == [104, 104, 104]
    assert _spans([100, 20], "auto") == [100, 20]
    assert _spans([100, 21], "auto") == [100, 28]
    assert _spans([100, 20], "never") == [104, 104]
    assert _spans([96, 96], "always") == [96, 96]


def test_dropout_keeps_its_share_and_differs_everywhere():
    from hubkit_peft.fast.dropout import Dropout, token_keys

    ones = torch.ones(512, 1024)
    keys = token_keys(0, 5, 512)
    drop = Dropout(0.05, 0, 1024)
    kept = drop(ones, keys)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.95])
    rate = (kept == 0).float().mean().item()
    assert rate == pytest.approx(0.05, abs=5 * (0.05 * 0.95 / kept.numel()) ** 0.5)
    mask = (kept == 0).double()
    assert torch.corrcoef(mask[:8].flatten(1)).fill_diagonal_(0).abs().max() < 0.16
    for other in (
        drop(ones, token_keys(1, 5, 512)),
        drop(ones, token_keys(0, 6, 512)),
        Dropout(0.05, 1, 1024)(ones, keys),
        kept.roll(1, 0),
        kept.roll(1, 1),
    ):
        both = (mask * (other == 0)).mean().item()
        assert both == pytest.approx(0.05**2, abs=5 * (0.05**2 / kept.numel()) ** 0.5)
    assert torch.equal(kept, drop(ones, keys))


@pytest.mark.parametrize("apart", [False, True])
def test_joint_product_and_its_gradients_are_those_of_separate_linears(apart):
    from hubkit_peft.fast.lora import joint

    dice = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(shape, generator=dice, dtype=torch.float64, requires_grad=True)

    sizes = [6, 4, 5]
    x, dropped, weight, bias = random(7, 8), random(7, 8), random(15, 8), random(15)
    down, up = random(9, 8), random(15, 3)
    inputs = (x, dropped, down, up)
    weights, biases = weight.detach().split(sizes if apart else 15), bias.detach()
    biases = biases.split(sizes if apart else 15)
    outs = joint(x, dropped, weights, biases, down, up, sizes)
    assert len(outs) == len(weights)
    out, inner = torch.cat(outs, 1), (dropped @ down.T).chunk(3, 1)
    expected = (
        x @ weight.T
        + bias
        + torch.cat([low @ high.T for low, high in zip(inner, up.split(sizes), strict=True)], 1)
    )
    torch.testing.assert_close(out, expected)
    grad = torch.randn(7, 15, generator=dice, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad)
    )
    torch.library.opcheck(
        torch.ops.hubkit_peft.joint, (x, dropped, list(weights), [], down, up, sizes)
    )


def test_long_answers_are_scored_in_pieces(monkeypatch):
    from hubkit_peft.fast import loss

    head = torch.nn.Linear(8, 30)
    hidden, targets = torch.randn(50, 8, requires_grad=True), torch.randint(30, (50,))
    whole = loss.answer_loss(hidden, head, targets)
    monkeypatch.setattr(loss, "_ROWS_AT_ONCE", 16)
    pieces = loss.answer_loss(hidden, head, targets)
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(*(torch.autograd.grad(each, hidden)[0] for each in (pieces, whole)))


def test_a_head_of_an_odd_width_gets_rows_and_the_model_keeps_its_own():
    from hubkit_peft.fast.loss import Head

    linear, hidden = torch.nn.Linear(6, 13, bias=False), torch.randn(3, 6)
    expected = linear(hidden)
    logits = Head(linear)(hidden)
    torch.testing.assert_close(logits, expected)
    assert logits.shape == (3, 13) and linear.weight.shape == (13, 6)
    assert linear.weight.untyped_storage().nbytes() == 16 * 6 * 4


def curve(job, chosen=None, **options):
    done = job(chosen, name="-".join(map(str, options.values())), **options)
    PeftTrainer().train(done, SilentRun())
    return [
        json.loads(line)["loss"]
        for line in (done.output / "metrics.jsonl").read_text("utf-8").splitlines()
    ]


def test_loss_curve_is_that_of_plain_float32(job, records):
    """Speed does not change what is learnt: within rounding in float32, within 10 % at every step
    in bfloat16."""
    taught = [
        replace(record, turns=(replace(record.turns[0], answer="a tree"),)) for record in records
    ]
    settings = {"steps": 10, "batch_size": 6, "learning_rate": 3e-3}
    reference = curve(job, taught, implementation="plain", **settings)
    fast = curve(job, taught, implementation="auto", packing="always", **settings)
    half = curve(job, taught, implementation="auto", precision="bfloat16", **settings)
    assert reference[-1] < 0.6 * reference[0]
    assert fast == pytest.approx(reference, rel=1e-3)
    assert half == pytest.approx(reference, rel=0.1, abs=0.02)


@pytest.mark.parametrize(("kept", "seen"), [("auto", 13), (1e-4, 13 + 9)])
def test_kept_features_of_a_frozen_vit_change_nothing(job, monkeypatch, kept, seen):
    """Two epochs of 12 records with 13 tiles; 0.1 MB hold those of four records."""
    from hubkit_peft.fast.vision import Tower

    made, make = [], Tower._all
    monkeypatch.setattr(
        Tower, "_all", lambda tower, pixels: made.append(len(pixels)) or make(tower, pixels)
    )
    settings = {"steps": 4, "batch_size": 6}
    expected = curve(job, cache_vision=0.0, **settings)
    assert (sum(made), made.clear()) == (2 * 13, None)
    assert curve(job, cache_vision=kept, **settings) == expected
    assert sum(made) == seen


def test_pixels_are_no_longer_read_where_features_are_kept(training, monkeypatch):
    from hubkit_peft.examples import Encoder

    fast, numbers = training("auto", steps=9), range(12)
    first = loss_and_gradients(fast, numbers)[0]
    assert fast.program.features.full
    fast.examples._kept.clear()
    monkeypatch.setattr(Encoder, "pixels", lambda *_: pytest.fail("a picture is read"))
    assert loss_and_gradients(fast, numbers)[0] == first


def test_compiled_code_is_kept_beside_what_hubkit_makes(monkeypatch, tmp_path):
    from hubkit_peft import compiling

    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    compiling.remember()
    assert compiling.os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "home" / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    compiling.remember()
    assert compiling.os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"
    assert not (tmp_path / "home").exists()


def test_checkpointing_changes_nothing(job):
    settings = {"steps": 3, "dropout": 0.2}
    assert curve(job, gradient_checkpointing=True, **settings) == curve(
        job, gradient_checkpointing=False, **settings
    )


def test_reading_ahead_in_threads_changes_nothing(job):
    assert curve(job, workers=3, steps=6) == curve(job, workers=0, steps=6)


@pytest.mark.integration
def test_two_processes_learn_what_one_does_with_twice_the_batches(job):
    """Dropout masks too: they belong to the sample, not to the process."""
    from hubkit_peft import several

    settings = {"steps": 4, "batch_size": 3, "dropout": 0.2, "validation": 2, "keep": "best"}
    alone, shared = job(name="alone", accumulation=2, **settings), job(name="shared", **settings)
    PeftTrainer().train(alone, SilentRun())
    output = several.train(shared, SilentRun(), 2)
    assert (output.samples, output.settings["gpus"]) == (24, 2)
    one, two = (
        [json.loads(line) for line in (each.output / "metrics.jsonl").open()]
        for each in (alone, shared)
    )
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=1e-4)
    assert two[-1]["validation_loss"] == pytest.approx(one[-1]["validation_loss"], rel=1e-4)
    assert (shared.output / "adapter" / "adapter_model.safetensors").stat().st_size > 0


@pytest.mark.integration
def test_an_error_in_one_of_several_processes_is_told(job):
    from hubkit_peft import several

    from hubkit.sdk import UsageError

    with pytest.raises(UsageError, match="this model has no group audio"):
        several.train(job(lora=["audio"]), SilentRun(), 2)


@pytest.mark.integration
def test_compiled_is_the_same(training):
    """With dropout, over batches of two shapes; one layer's two steps are compiled for all."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    ways = [training("auto", dropout=0.3, compile=compiled) for compiled in (False, True)]
    for each in ways:
        warmed(each.model)
    for numbers in (range(12), range(4, 9)):
        (eager, expected), (compiled, gradients) = (
            loss_and_gradients(each, numbers) for each in ways
        )
        assert compiled == pytest.approx(eager, rel=1e-5)
        assert apart(gradients, expected) < 1e-4
    assert counters["stats"]["unique_graphs"] == 4
