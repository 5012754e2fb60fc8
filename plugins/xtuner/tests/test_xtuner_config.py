"""The effective configuration: what the release asks for, what the machine needs, and nothing
else."""

from __future__ import annotations

import pytest
from hubkit_xtuner import config
from hubkit_xtuner.options import Options


def effective(shipped, job, *, gpu, llm="InternLM2ForCausalLM", **options):
    given, one = Options(**options), job()
    wanted = config.changes(
        given,
        one,
        one.scratch / "model",
        one.scratch / "llava.json",
        gpu=gpu,
        llm=llm,
        stops=[2, 4],
    )
    return config.apply(shipped, wanted, given)


def changed(before, after):
    places = (
        "model_path",
        "data_path",
        "image_folder",
        "path",
        "data_root",
        "tokenizer",
        "vision",
        "stops",
        "custom_hooks",
    )
    found = config.difference(before, after)
    return {
        key: value[1] for key, value in found.items() if not any(place in key for place in places)
    }


def test_on_a_gpu_only_the_requested_keys_change(shipped, job):
    made = effective(
        shipped,
        job,
        gpu=True,
        learning_rate=3e-5,
        epochs=10.0,
        batch_size=4,
        save_every=64,
        keep=-1,
        save_optimizer=False,
    )
    assert changed(shipped, made) == {
        "batch_size": 4,
        "default_hooks.checkpoint.interval": 64,
        "default_hooks.checkpoint.max_keep_ckpts": -1,
        "lr": 3e-5,
        "max_epochs": 10,
        "optim_wrapper.optimizer.lr": 3e-5,
        "param_scheduler.0.end": pytest.approx(0.3),
        "param_scheduler.0.start_factor": 1e-5,
        "param_scheduler.1.begin": pytest.approx(0.3),
        "param_scheduler.1.end": 10.0,
        "param_scheduler.1.eta_min": 0.0,
        "randomness.deterministic": False,
        "randomness.seed": 7,
        "save_steps": 64,
        "save_total_limit": -1,
        "train_cfg.max_epochs": 10.0,
        "train_dataloader.batch_size": 4,
        "train_dataloader.dataset.template": None,
        "train_dataloader.dataset.type": "hubkit_xtuner.dataset.Conversations",
        "train_dataloader.sampler.per_device_batch_size": 8,
    }


def test_a_cpu_gets_what_it_can_do(shipped, job):
    made = effective(shipped, job, gpu=False)
    assert made["optim_wrapper"]["type"] == "mmengine.optim.OptimWrapper"
    assert not {"loss_scale", "dtype"} & set(made["optim_wrapper"])
    assert made["train_dataloader"]["num_workers"] == 0
    assert made["env_cfg"]["dist_cfg"]["backend"] == "gloo"


def test_lora_qlora_and_a_lora_of_the_vision_tower(shipped, job):
    made = effective(
        shipped, job, gpu=True, rank=16, alpha=32.0, dropout=0.1, quantize=True, vit_rank=8
    )["model"]
    assert (
        made["llm_lora"]["r"],
        made["llm_lora"]["lora_alpha"],
        made["llm_lora"]["lora_dropout"],
    ) == (16, 32, 0.1)
    assert (made["quantization_llm"], made["quantization_vit"]) == (True, False)
    assert made["visual_encoder_lora"]["target_modules"] == [
        "attn.qkv",
        "attn.proj",
        "mlp.fc1",
        "mlp.fc2",
    ]


def test_a_configuration_without_lora_gets_one_when_asked(shipped, job):
    del shipped["model"]["llm_lora"]
    assert "llm_lora" not in effective(shipped, job, gpu=True)["model"]


def test_a_second_checkpoint_is_kept_while_the_next_is_written(shipped, job):
    """mmengine removes the oldest before it writes: a kill in between would leave nothing to
    continue from."""
    hook = effective(shipped, job, gpu=True, keep=1)["default_hooks"]["checkpoint"]
    assert (hook["max_keep_ckpts"], hook["save_optimizer"]) == (2, True)


def test_the_best_are_kept_by_hubkit(shipped, job):
    hook = effective(shipped, job, gpu=True, keep=1, keep_best=2)["default_hooks"]["checkpoint"]
    assert hook["max_keep_ckpts"] == -1


@pytest.mark.parametrize(
    ("llm", "suffix"), [("InternLM2ForCausalLM", "<|im_end|>"), ("Phi3ForCausalLM", "<|end|>")]
)
def test_xtuners_own_prompt_keeps_its_dataset(shipped, job, llm, suffix):
    data = effective(shipped, job, gpu=True, prompt="xtuner", llm=llm)["train_dataloader"][
        "dataset"
    ]
    assert data["type"] == "xtuner.dataset.InternVL_V1_5_Dataset"
    assert data["template"]["SUFFIX"] == suffix
    assert "stops" not in data


def test_the_witness_is_there_once(shipped, job):
    once = effective(shipped, job, gpu=True)
    twice = config.apply(once, {}, Options())
    assert [hook["type"] for hook in twice["custom_hooks"]] == [
        "xtuner.engine.hooks.DatasetInfoHook",
        config.WITNESS,
    ]


def test_a_users_configuration_without_some_names_is_left_without_them(shipped, job):
    shipped["custom_hooks"] = []
    made = effective(shipped, job, gpu=True, learning_rate=1e-4)
    assert [hook["type"] for hook in made["custom_hooks"]] == [config.WITNESS]


def test_difference_names_both_sides():
    before, after = (
        {"a": {"b": 1, "c": (1, 2)}, "d": [{"e": 1}]},
        {"a": {"b": 2, "c": [1, 2]}, "d": [{"e": 1}, {"f": 3}]},
    )
    assert config.difference(before, after) == {"a.b": [1, 2], "d.1.f": [None, 3]}
