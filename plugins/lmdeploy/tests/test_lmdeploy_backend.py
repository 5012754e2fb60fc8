"""The choice of a backend, options, and what the engine says on a machine without a GPU."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hubkit_lmdeploy import LmdeployEngine
from hubkit_lmdeploy.asking import until_stop
from hubkit_lmdeploy.loading import beside, choose_backend, head_sizes
from hubkit_lmdeploy.options import Options

from hubkit.environments import Environment, call
from hubkit.sdk import (
    Answer,
    EnvironmentFailure,
    GenerateInput,
    Record,
    SilentRun,
    Turn,
    UsageError,
    write_jsonl,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.install import install
from hubkit.sdk.records import kept_answers

KNOWN = {"InternVLChatModel": "internvl"}
TINY = {
    "architectures": ["InternVLChatModel"],
    "llm_config": {"hidden_size": 128, "num_attention_heads": 4},
    "vision_config": {"hidden_size": 96, "num_attention_heads": 4},
}
LARGE = {
    "architectures": ["InternVLChatModel"],
    "llm_config": {"hidden_size": 2048, "num_attention_heads": 16},
    "vision_config": {"hidden_size": 1024, "num_attention_heads": 16},
}


def no_gpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def test_small_heads_go_to_the_pytorch_engine():
    assert head_sizes(TINY) == {"llm_config": 32, "vision_config": 24}
    assert choose_backend(TINY, Options(), KNOWN) == "pytorch"
    assert choose_backend(LARGE, Options(), KNOWN) == "turbomind"
    assert choose_backend(LARGE, Options(backend="pytorch"), KNOWN) == "pytorch"


def test_turbomind_on_small_heads_is_refused_before_anything_is_loaded():
    with pytest.raises(UsageError, match="llm_config 32, vision_config 24") as refused:
        choose_backend(TINY, Options(backend="turbomind"), KNOWN)
    assert refused.value.remedy == "set the option backend: pytorch"


def test_models_that_turbomind_does_not_have_go_to_the_pytorch_engine():
    llava = {**LARGE, "architectures": ["LlavaForConditionalGeneration"]}
    assert choose_backend(llava, Options(), KNOWN) == "pytorch"
    with pytest.raises(UsageError, match="TurboMind has no model LlavaForConditionalGeneration"):
        choose_backend(llava, Options(backend="turbomind"), KNOWN)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"backend": "vllm"}, "backend"),
        ({"dtype": "float32"}, "dtype"),
        ({"batch_size": 0}, "batch_size"),
        ({"cache_share": 1.0}, "cache_share"),
        ({"tp": 0}, "tp"),
        ({"session_length": -1}, "session_length"),
        ({"beams": 4}, "beams"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(UsageError, match=named):
        decode(Options, options, "options")


def test_the_model_is_named_without_its_path(tmp_path):
    """`vicuna` in a path makes LMDeploy take Vicuna's template."""
    model = tmp_path / "vicuna" / "InternVL2-Food"
    model.mkdir(parents=True)
    before = Path.cwd()
    with beside(model, Options(allow_remote_code=True)) as name:
        assert (name, Path.cwd()) == ("InternVL2-Food", model.parent)
    with beside(model, Options()) as name:
        assert name == "InternVL2-Food" and "vicuna" not in str(Path.cwd())
    assert Path.cwd() == before


def test_an_answer_ends_at_the_first_stop():
    assert until_stop([9, 8, 2, 7, 4], frozenset({2, 4})) == [9, 8]
    assert until_stop([9, 8], frozenset({2})) == [9, 8]


def test_only_whole_batches_of_an_earlier_run_are_kept(tmp_path):
    records = [Record(str(n), (), (Turn("Hi", ""),)) for n in range(5)]
    path = tmp_path / "answers.jsonl"
    assert kept_answers(path, records, 2) == 0
    write_jsonl(path, [Answer(str(n), ("a",), ("stop",), (1,)) for n in range(3)])
    assert kept_answers(path, records, 2) == 2
    assert [json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()] == ["0", "1"]


@pytest.mark.skipif("not no_gpu()", reason="there is a GPU")
def test_without_a_gpu_the_worker_says_so(base, vision, tmp_path):
    """Also where LMDeploy is not installed: then it is named with the command that installs it."""
    records = tmp_path / "records.jsonl"
    write_jsonl(records, [Record("r", (), (Turn("Hi", ""),))])
    job = GenerateInput(base, base, vision, records, tmp_path, tmp_path, 8, {})
    with pytest.raises(EnvironmentFailure) as refused:
        call(
            LmdeployEngine(),
            "generate",
            job,
            environment=Environment(),
            run=SilentRun(),
            folder=tmp_path / "worker",
        )
    assert type(refused.value) is EnvironmentFailure
    if importlib.util.find_spec("lmdeploy"):
        assert "LMDeploy needs an NVIDIA GPU, and torch" in refused.value.message
    else:
        assert "lmdeploy: ModuleNotFoundError" in refused.value.message
        assert (
            "environment: locked" in refused.value.remedy
            and install("lmdeploy") in refused.value.remedy
        )


@pytest.mark.skipif("not no_gpu()", reason="there is a GPU")
def test_without_a_gpu_nothing_is_loaded(base, vision, tmp_path):
    records = tmp_path / "records.jsonl"
    write_jsonl(records, [])
    with pytest.raises(
        EnvironmentFailure, match=r"LMDeploy needs an NVIDIA GPU, and torch .* sees none"
    ):
        LmdeployEngine().generate(
            GenerateInput(base, base, vision, records, tmp_path, tmp_path, 8, {}), SilentRun()
        )
