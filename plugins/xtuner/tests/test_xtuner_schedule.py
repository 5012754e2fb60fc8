"""Iterations, warm-up and checkpoints, predicted as xtuner and mmengine count them."""

from __future__ import annotations

import pytest
from hubkit_xtuner import config, schedule, trainable
from hubkit_xtuner.options import Options

from hubkit.sdk import UsageError

TUTORIAL = {
    "epochs": 10.0,
    "batch_size": 4,
    "accumulation": 2,
    "learning_rate": 3e-5,
    "warmup_ratio": 0.03,
    "save_every": 64,
}
INTERNVL2_2B = {
    "downsample_ratio": 0.5,
    "llm_config": {
        "architectures": ["InternLM2ForCausalLM"],
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "vocab_size": 92553,
    },
    "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24},
}


def made(shipped, **options):
    given = Options(**options)
    return config.apply(shipped, dict(config._asked(given)), given)


def test_the_tutorials_settings_are_640_iterations(shipped):
    plan = schedule.plan(made(shipped, **TUTORIAL, keep=-1), 256, 1)
    assert (plan.iterations, plan.per_epoch, plan.warmup, plan.samples) == (640, 64, 19, 256)
    assert plan.saved == tuple(range(64, 641, 64))


@pytest.mark.parametrize(
    ("samples", "devices", "per_epoch"),
    [(256, 1, 64), (257, 1, 66), (256, 2, 32), (250, 8, 8), (1, 1, 2)],
)
def test_the_sampler_fills_whole_optimizer_steps_on_every_device(
    shipped, samples, devices, per_epoch
):
    assert (
        schedule.plan(
            made(shipped, **{**TUTORIAL, "warmup_ratio": 0.0}), samples, devices
        ).per_epoch
        == per_epoch
    )


def test_other_samplers_fill_whole_batches(shipped):
    shipped["train_dataloader"]["sampler"] = {"type": "mmengine.dataset.DefaultSampler"}
    assert schedule.plan(made(shipped, **TUTORIAL), 257, 1).per_epoch == 65


@pytest.mark.parametrize(("ratio", "warmup"), [(0.001, 0), (0.002, 1)])
def test_a_warmup_that_mmengine_cannot_do_is_refused(shipped, ratio, warmup):
    """With none it fails on an empty range; with one iteration the rate stays at 1e-5 of itself,
    and nothing says so."""
    with pytest.raises(
        UsageError, match=f"of 640 iterations gives {warmup}: mmengine fails"
    ) as caught:
        schedule.plan(made(shipped, **{**TUTORIAL, "warmup_ratio": ratio}), 256, 1)
    assert caught.value.remedy == "set warmup_ratio: 0 for none, or at least 0.0032"
    assert schedule.plan(made(shipped, **{**TUTORIAL, "warmup_ratio": 0.0032}), 256, 1).warmup == 2


def test_no_warmup_leaves_the_cosine_alone(shipped):
    effective = made(shipped, **{**TUTORIAL, "warmup_ratio": 0.0})
    assert [one["type"] for one in effective["param_scheduler"]] == [
        "mmengine.optim.CosineAnnealingLR"
    ]
    assert schedule.plan(effective, 256, 1).warmup == 0


def test_epochs_must_make_whole_iterations(shipped):
    with pytest.raises(UsageError, match=r"0\.1 epochs of 64 iterations are 6\.4 iterations"):
        schedule.plan(made(shipped, **{**TUTORIAL, "epochs": 0.1}), 256, 1)


def test_a_checkpoint_between_two_optimizer_steps_is_refused(shipped):
    with pytest.raises(UsageError, match="save_every 5 is no multiple of accumulation 2") as caught:
        schedule.plan(made(shipped, **{**TUTORIAL, "save_every": 5}), 256, 1)
    assert caught.value.remedy == "set save_every: 6"


def test_iterations_replace_epochs_in_loop_and_schedule(shipped):
    effective = made(shipped, iterations=50, warmup_ratio=0.1)
    assert effective["train_cfg"] == {"type": "xtuner.engine.runner.TrainLoop", "max_iters": 50}
    rise, fall = effective["param_scheduler"]
    assert (rise["by_epoch"], rise["begin"], rise["end"], fall["begin"], fall["end"]) == (
        False,
        0,
        5,
        5,
        50,
    )
    assert schedule.plan(effective, 1000, 1).iterations == 50


def test_an_untouched_schedule_stays_as_it_was(shipped):
    effective = made(shipped, learning_rate=2e-5)
    assert effective["param_scheduler"] == shipped["param_scheduler"]
    assert schedule.plan(effective, 1600, 1).warmup == 6


def test_trainable_parameters_of_the_tutorial(shipped):
    """150,533,248 is what xtuner counted in a run of these dimensions."""
    count = trainable.count(shipped["model"], INTERNVL2_2B)
    assert count == 150_533_248
    assert trainable.checkpoint_bytes(count, optimizer=False) == 602_132_992


def test_trainable_parameters_of_other_choices(shipped):
    model = shipped["model"]
    with_vit = {
        **model,
        "visual_encoder_lora": {"r": 8, "target_modules": list(config.VIT_LINEARS)},
    }
    layer = 8 * ((1024 + 3072) + 2 * 1024 + 2 * (1024 + 4096))
    assert (
        trainable.count(with_vit, INTERNVL2_2B) - trainable.count(model, INTERNVL2_2B) == 24 * layer
    )
    few = {**model, "llm_lora": {"r": 2, "target_modules": ["wqkv"]}}
    assert trainable.count(few, INTERNVL2_2B) == trainable.projector(INTERNVL2_2B) + 24 * 2 * (
        2048 + 4096
    )
    assert trainable.count({**model, "freeze_visual_encoder": False}, INTERNVL2_2B) is None
    phi = {
        **INTERNVL2_2B,
        "llm_config": {**INTERNVL2_2B["llm_config"], "architectures": ["Phi3ForCausalLM"]},
    }
    assert {name for name, _, _ in trainable.language_linears(phi)} == {
        "qkv_proj",
        "o_proj",
        "gate_up_proj",
        "down_proj",
    }
