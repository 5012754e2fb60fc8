"""Real training: the locked environment built from nothing, the tiny model trained in it, its
checkpoint merged and asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubkit_internvl import InternVL
from hubkit_xtuner import XtunerTrainer, config, folder
from testing.projects import make_project

from hubkit.authoring.placement import there as in_workers_of
from hubkit.environments import Environment
from hubkit.sdk import SilentRun, TrainInput, UsageError
from hubkit.sdk.testing import check_trainer

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("xtuner")]


def hubkit(
    *arguments: str, home: Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "HUBKIT_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "hubkit", *arguments],
        capture_output=True,
        text=True,
        env=variables,
        cwd=cwd,
        check=False,
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """HUBKIT_HOME with nothing but xtuner's environment, built by the command."""
    place = tmp_path_factory.mktemp("home")
    done = hubkit("env", "build", "xtuner", "--variant", "cpu", home=place)
    assert done.returncode == 0, done.stderr
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def python(home: Path) -> Path:
    done = hubkit("env", "build", "xtuner", "--variant", "cpu", home=home)
    assert "there already" in done.stdout + done.stderr
    (interpreter,) = home.glob("environments/xtuner-*/bin/python")
    return interpreter


@pytest.fixture
def project(tmp_path: Path) -> Path:
    from hubkit.quickstart.digits import write_digits

    return make_project(tmp_path / "project", write_digits(tmp_path / "digits"))


@pytest.fixture
def there(python: Path, tmp_path: Path) -> XtunerTrainer:
    """The trainer, each call in a worker of that environment."""
    made: XtunerTrainer = in_workers_of(XtunerTrainer(), Environment(python), tmp_path / "workers")
    return made


def test_the_environment_is_checked(home: Path, python: Path) -> None:
    done = hubkit("env", "check", "xtuner", "--environment", "locked:cpu", "--json", home=home)
    assert done.returncode == 0, done.stderr
    versions = json.loads(done.stdout.splitlines()[-1])["health"]["versions"]
    assert (versions["xtuner"], versions["transformers"], versions["mmengine"]) == (
        "0.2.0",
        "4.48.0",
        "0.10.6",
    )


def test_a_release(home: Path, python: Path, project: Path) -> None:
    """Trained, merged by hubkit, asked by the transformers engine with the very prompt of the
    training, pushed, read back."""
    spec = yaml.safe_load(project.read_text("utf-8"))
    options = {
        "rank": 8,
        "alpha": 16,
        "iterations": 6,
        "batch_size": 4,
        "accumulation": 1,
        "learning_rate": 1e-3,
    }
    options |= {"warmup_ratio": 0.4, "save_every": 3, "log_every": 1}
    spec["train"] = {"trainer": "xtuner", "environment": {"locked": "cpu"}, "options": options}
    project.write_text(yaml.safe_dump(spec), "utf-8")
    done = hubkit("release", str(project), home=home, cwd=project.parent)
    assert done.returncode == 0, done.stderr
    (work,) = (project.parent / ".hubkit").glob("InternVL2-*")
    result = {
        stage: json.loads((work / stage / "seal.json").read_text("utf-8"))["result"]
        for stage in ("train", "merge", "smoke")
    }
    assert (result["train"]["format"], result["train"]["adapter"], result["train"]["steps"]) == (
        "xtuner",
        "iter_6.pth",
        6,
    )
    assert result["train"]["trainable_parameters"] == trained_parameters(project.parent / "base", 8)
    assert (
        result["merge"]["merged"],
        result["merge"]["replaced"],
        result["merge"]["adapter_keys"],
    ) == (21, 6, 48)
    assert result["smoke"]["prompt"] == result["train"]["prompt"]
    changes = json.loads((work / "train" / "changes.json").read_text("utf-8"))
    assert changes["model.llm_lora.r"] == [128, 8]
    assert changes["path"] == ["OpenGVLab/InternVL2-2B", "<model>"]
    assert str(project.parent) not in (work / "train" / "changes.json").read_text("utf-8")


def trained_parameters(base: Path, rank: int) -> int:
    from hubkit_xtuner import trainable

    model = {
        "freeze_llm": True,
        "freeze_visual_encoder": True,
        "llm_lora": {"r": rank, "target_modules": None},
    }
    count = trainable.count(model, json.loads((base / "config.json").read_text("utf-8")))
    assert count is not None
    return count


def test_two_trainings_and_a_continued_one_are_the_same_bytes(
    there: XtunerTrainer, job: Callable[..., TrainInput]
) -> None:
    output = check_trainer(there, job(dropout=0.1))
    assert (output.steps, output.samples, output.trainable_parameters) == (8, 16, 100_476)
    assert output.prompt_ids.count(7) == 1


def test_a_users_own_configuration_and_xtuners_prompt(
    there: XtunerTrainer, job: Callable[..., TrainInput], python: Path
) -> None:
    """The file's settings hold, options override them, and the prompt is what xtuner's own dataset
    has fed."""
    found = subprocess.run(
        [python, "-c", "from importlib.util import find_spec; print(find_spec('xtuner').origin)"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    text = (Path(found).parent / "configs" / "internvl" / "v2" / f"{config.SHIPPED}.py").read_text(
        "utf-8"
    )
    one = job(prompt="xtuner", rank=None, alpha=None, keep_best=1, adapter="best")
    one = job([record for record in read(one) if len(record.images) < 2], name="own", **one.options)
    own = one.scratch.parent / "my_config.py"
    own.write_text(re.sub(r"r=128,\s+lora_alpha=256", "r=2, lora_alpha=6", text), "utf-8")
    one.options["config"] = str(own)  # type: ignore[index]
    output = there.train(one, SilentRun())
    assert (output.settings["rank"], output.settings["alpha"], output.settings["prompt"]) == (
        2,
        6,
        "xtuner",
    )
    assert output.prompt == (
        "<|im_start|>system\nYou are an AI assistant whose name is InternLM "
        "(书生·浦语).<|im_end|><|im_start|>user\n"
        "<img><IMG_CONTEXT></img>\nWhich digit is this?<|im_end|><|im_start|>assistant\n"
    )
    kept = sorted(path.name for path in (one.scratch / "work").glob("iter_*.pth"))
    assert 1 <= len(kept) <= 2 and output.adapter in kept


def read(job: TrainInput) -> list[Any]:
    from hubkit.sdk import read_records

    return list(read_records(job.records))


def test_refusals_come_before_any_training(
    there: XtunerTrainer, job: Callable[..., TrainInput], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="gives 1: mmengine fails on an empty warm-up"):
        there.train(job(name="warm", warmup_ratio=0.2), SilentRun())
    wrong = tmp_path / "llava.py"
    wrong.write_text(
        "model = dict(type='LLaVA')\ntrain_dataloader = {}\noptim_wrapper = {}\ntrain_cfg "
        "= {}\ndefault_hooks = {}\n"
    )
    with pytest.raises(UsageError, match=r"llava\.py trains LLaVA, not xtuner's InternVL_V1_5"):
        there.train(job(name="wrong", config=str(wrong)), SilentRun())


REMOTE = {
    "configuration_remote.py": """
from hubkit_xtuner.modeling.configuration import InternVLConfig

class RemoteConfig(InternVLConfig):
    pass
""",
    "modeling_remote.py": """
from hubkit_xtuner.modeling.internvl import InternVLModel

from .configuration_remote import RemoteConfig

class RemoteModel(InternVLModel):
    config_class = RemoteConfig

    def __init__(self, config):
        print("the folder's code asks for", config.llm_config.attn_implementation)
        super().__init__(config)
""",
}


def test_the_folders_own_code_runs_when_it_is_allowed(
    there: XtunerTrainer, job: Callable[..., TrainInput], tmp_path: Path
) -> None:
    """It gets an attention that is installed, whatever xtuner wrote; without the option it does not
    run."""
    one = job(allow_remote_code=True, iterations=2, warmup_ratio=0)
    official = tmp_path / "remote"
    shutil.copytree(one.base, official, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    settings = json.loads((official / "config.json").read_text("utf-8"))
    auto = {
        "AutoConfig": "configuration_remote.RemoteConfig",
        "AutoModel": "modeling_remote.RemoteModel",
    }
    (official / "config.json").write_text(json.dumps({**settings, "auto_map": auto}), "utf-8")
    for name, text in REMOTE.items():
        (official / name).write_text(text, "utf-8")
    output = there.train(replace(one, base=official), SilentRun())
    assert output.trainable_parameters == 100_476
    assert "the folder's code asks for eager" in (one.scratch / "train.log").read_text("utf-8")


def test_hubkits_modules_compute_what_transformers_own_do(
    python: Path, base: Path, native: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    made = folder.prepare(base, native, tmp_path / "model", remote_code=False)
    torch.manual_seed(0)
    ids, pixels = (
        torch.tensor([[1, 3, 50, 60, 5, *[7] * 48, 6, 70, 80, 90, 4, 3, 100, 101]]),
        torch.randn(3, 3, 56, 56),
    )
    reference = AutoModelForImageTextToText.from_pretrained(native, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = reference(input_ids=ids, pixel_values=pixels).logits
    torch.save({"ids": ids, "pixels": pixels}, tmp_path / "asked.pt")
    program = """
import sys, torch
from hubkit_xtuner.torchvision_ops import define_if_missing
define_if_missing()
from transformers import AutoModel
from hubkit_xtuner.modeling import register
from hubkit_xtuner.modeling.internvl import HEADS
register()
model = AutoModel.from_pretrained(sys.argv[1], torch_dtype=torch.float32).eval()
asked = torch.load(sys.argv[2] + "/asked.pt")
with torch.no_grad():
    embedded = model.language_model.get_input_embeddings()(asked["ids"]).clone()
    embedded[asked["ids"] == 7] = model.extract_feature(asked["pixels"]).reshape(-1, embedded.shape[-1])
    torch.save(model.language_model(inputs_embeds=embedded).logits, sys.argv[2] + "/answer.pt")
words = model.config.llm_config.vocab_size
heads = [name for name, module in model.named_modules() if getattr(module, "out_features", 0) == words]
print(model.config.llm_config._attn_implementation, model.mlp1[1].weight.dtype, set(heads) <= set(HEADS), *heads)
"""  # noqa: E501
    import hubkit_xtuner

    path = os.pathsep.join(
        [str(Path(hubkit_xtuner.__file__).parent.parent), str(sdk_only(tmp_path))]
    )
    done = subprocess.run(
        [python, "-c", program, str(made), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sdpa", "torch.float32", "True", "language_model.output"]
    torch.testing.assert_close(torch.load(tmp_path / "answer.pt"), logits, atol=2e-5, rtol=0)


def sdk_only(folder: Path) -> Path:
    """A `hubkit` with nothing but its SDK, as workers get it."""
    import hubkit.sdk

    (folder / "path" / "hubkit").mkdir(parents=True)
    (folder / "path" / "hubkit" / "__init__.py").touch()
    shutil.copytree(Path(hubkit.sdk.__file__).parent, folder / "path" / "hubkit" / "sdk")
    return folder / "path"


def test_the_check_drives_it_in_its_environment(home: Path, python: Path) -> None:
    done = hubkit("plugins", "check", "xtuner", "--environment", "locked:cpu", "--json", home=home)
    steps = {
        one["name"]: one
        for one in map(json.loads, done.stdout.splitlines())
        if one["event"] == "step"
    }
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one["state"] for one in steps.values()} == {"ok"}
    assert steps["life"]["message"] == "6 steps, repeated and resumed to the same bytes"


LANGUAGE: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {"model_type": "llama"},
    "Qwen2ForCausalLM": {"model_type": "qwen2", "tie_word_embeddings": True},
    "Qwen3ForCausalLM": {"model_type": "qwen3", "head_dim": 32},
}


def with_language_model(base: Path, name: str, out: Path) -> tuple[Path, Path]:
    """The tiny base with random weights and another language model, official and native."""
    import torch
    from safetensors.torch import save_file

    from hubkit.weights.convert import to_native
    from hubkit.weights.model import open_model

    official = out / "base"
    shutil.copytree(base, official, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    settings = json.loads((base / "config.json").read_text("utf-8"))
    old = settings["llm_config"]
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    heads = ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")
    own = {key: old[key] for key in (*kept, *heads, "rms_norm_eps", "torch_dtype") if key in old}
    own |= {"architectures": [name], "hidden_act": "silu", "tie_word_embeddings": False}
    settings["llm_config"] = {**own, **LANGUAGE[name]}
    (official / "config.json").write_text(json.dumps(settings), "utf-8")
    dtype = torch.bfloat16 if settings.get("torch_dtype") == "bfloat16" else torch.float32
    torch.manual_seed(2)
    tensors = {
        key: (torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.05).to(dtype)
        for key, shape in InternVL().layout(settings).items()
    }
    save_file(tensors, official / "model.safetensors", {"format": "pt"})
    to_native(open_model(official), out / "native")
    return official, out / "native"


@pytest.mark.parametrize("name", LANGUAGE)
def test_every_language_model_of_the_family(
    name: str, there: XtunerTrainer, job: Callable[..., TrainInput], base: Path, tmp_path: Path
) -> None:
    """Trained by xtuner through hubkit's modules; transformers' own class has the merged weights'
    numbers."""
    from hubkit.weights.check import check
    from hubkit.weights.merge import merge
    from hubkit.weights.model import open_model

    official, native = with_language_model(base, name, tmp_path)
    one = replace(job(iterations=2, warmup_ratio=0), base=official, native=native)
    output = there.train(one, SilentRun())
    assert output.prompt_ids.count(7) == 1 and output.steps == 2
    model = open_model(official)
    report = merge(model, one.output / output.adapter, tmp_path / "merged")
    layers = model.config["llm_config"]["num_hidden_layers"]
    assert (report.merged, report.replaced) == (7 * layers, 6) and report.largest_delta > 0
    assert check(tmp_path / "merged", model.family) == ()
