"""What people bring in place of a base or an adapter: the cause is named, and its remedy works."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from testing.projects import BASE

import hubkit
from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.check import check
from hubkit.weights.convert import to_official
from hubkit.weights.merge import merge
from hubkit.weights.model import Model, open_model

WO = "language_model.model.layers.0.attention.wo"
NATIVE_WO = "model.language_model.layers.0.self_attn.o_proj"
XTUNER = "model = dict(\n    llm_lora=dict(lora_alpha=6, r=4), type='InternVL_V1_5')\n"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def clean(base: Path, **more: Any) -> Path:
    config = json.loads((base / "config.json").read_text())
    config.pop("_name_or_path", None)
    (base / "config.json").write_text(json.dumps({**config, **more}))
    return base


def only(problems: tuple[Any, ...]) -> Any:
    (problem,) = problems
    return problem


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, *_: Any) -> None: ...

    def check_cancelled(self) -> None: ...


def nf4(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        name: torch.zeros(tensor.numel() // 2, 1, dtype=torch.uint8),
        f"{name}.absmax": torch.zeros(4, dtype=torch.uint8),
        f"{name}.quant_state.bitsandbytes__nf4": torch.zeros(8, dtype=torch.uint8),
    }


def packed(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    module = name.removesuffix(".weight")
    return {
        f"{module}.qweight": torch.zeros(4, 4, dtype=torch.int32),
        f"{module}.qzeros": torch.zeros(1, 4, dtype=torch.int32),
        f"{module}.scales": torch.zeros(1, 4),
    }


def scaled(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: tensor.to(torch.float8_e4m3fn), f"{name}_scale_inv": torch.ones(1)}


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("change", [nf4, packed, scaled])
def test_a_quantised_base_is_one_finding(
    make_base: Any,
    make_adapter: Any,
    lora: Any,
    family: Any,
    tmp_path: Path,
    change: Any,
    stated: bool,
) -> None:
    base = clean(
        make_base(), **({"quantization_config": {"quant_method": "own"}} if stated else {})
    )
    new: dict[str, torch.Tensor] = {}
    for name, tensor in weights(base).items():
        new |= change(name, tensor) if ".attention." in name else {name: tensor}
    save_file(new, base / "model.safetensors")
    assert "is quantised" in only(check(base, family)).message
    adapter = make_adapter(lora(NATIVE_WO, 32, 32))
    with pytest.raises(
        WeightsError, match=r"is quantised \(own" if stated else "is quantised"
    ) as refused:
        merge(Model.of(base, family), adapter, tmp_path / "out")
    assert refused.value.remedy == "give the unquantised model that it was made from"
    merge(Model.of(make_base("plain"), family), adapter, tmp_path / "out")


@pytest.mark.parametrize("section", [None, "llm_config", "text_config"])
def test_quantization_config_beside_plain_weights(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, section: str | None
) -> None:
    method = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    base = clean(make_base(), **({section: method} if section else method))
    found = only(check(base, family))
    assert found.where == "config.json: quantization_config" and "BF16" in found.message
    assert found.remedy == "remove quantization_config from config.json"
    adapter = make_adapter(lora(NATIVE_WO, 32, 32))
    with pytest.raises(WeightsError, match="stands beside unquantised weights"):
        merge(Model.of(base, family), adapter, tmp_path / "out")
    clean(base, **({section: {}} if section else {"quantization_config": None}))
    assert check(base, family) == ()
    merge(Model.of(base, family), adapter, tmp_path / "out")


def test_transformers_own_names_are_converted(
    official_internvl: Any, tmp_path: Path, make_base: Any, family: Any
) -> None:
    base = clean(make_base())
    wrong = tmp_path / "wrong"
    shutil.copytree(base, wrong)
    native, own = {}, weights(base)
    for entry in family.native({"layers": 2}).tensors:
        rows = [own[entry.source][a:b] for a, b in entry.rows] or [own[entry.source]]
        native[entry.name] = torch.cat(rows).clone()
    save_file(native, wrong / "model.safetensors")
    found = only(check(wrong, family))
    assert "transformers' own names" in found.message
    assert "hubkit convert FOLDER OUT --to official --like BASE" in found.remedy
    to_official(wrong, tmp_path / "right", family, base)
    assert weights(tmp_path / "right").keys() == own.keys()
    assert all(torch.equal(t, own[name]) for name, t in weights(tmp_path / "right").items())


@pytest.mark.parametrize("wraps", [1, 2, 3])
def test_a_checkpoint_that_is_wrapped_once_or_more(
    make_base: Any, family: Any, tmp_path: Path, wraps: int
) -> None:
    base, folder = make_base(dtype=torch.float32), tmp_path / "checkpoint-9"
    shutil.copytree(base, folder)
    clean(folder, use_llm_lora=4)
    at, a, b = (
        "language_model." + "base_model.model." * wraps,
        torch.randn(4, 32),
        torch.randn(32, 4),
    )
    tensors = {
        name.replace("language_model.", at, 1).replace("wo.weight", "wo.base_layer.weight"): tensor
        for name, tensor in weights(base).items()
    }
    module = WO.replace("language_model.", at, 1)
    tensors |= {f"{module}.lora_A.default.weight": a, f"{module}.lora_B.default.weight": b}
    save_file(tensors, folder / "model.safetensors")
    found = only(check(folder, family))
    assert "unmerged LoRA checkpoint" in found.message
    assert found.remedy == "merge it: hubkit merge BASE FOLDER OUT"
    merge(Model.of(base, family), folder, tmp_path / "out")
    expected = weights(base)[f"{WO}.weight"] + 2 * b @ a
    torch.testing.assert_close(weights(tmp_path / "out")[f"{WO}.weight"], expected)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._fsdp_wrapped_module.base_model.model._orig_mod."]
)
def test_other_wrappers_and_originals_of_copies(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, prefix: str
) -> None:
    """A whole wrapped state holds a copied module's original, too; it is not trained."""
    trained = torch.randn(32, 32)
    tensors = {prefix + name: tensor for name, tensor in lora(NATIVE_WO, 32, 32).items()} | {
        f"{prefix}base_model.model.mlp1.1.original_module.weight": torch.zeros(32, 32),
        f"{prefix}base_model.model.mlp1.1.modules_to_save.default.weight": trained,
    }
    base = make_base(dtype=torch.float32)
    report = merge(Model.of(base, family), make_adapter(tensors), tmp_path / "out")
    assert torch.equal(weights(tmp_path / "out")["mlp1.1.weight"], trained)
    assert (report.merged, report.replaced, report.adapter_keys) == (1, 1, 3)


def test_tensors_that_were_not_gathered(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    whole = lora(NATIVE_WO, 32, 32)
    cases = [
        ({}, "holds no tensors"),
        ({name: torch.empty(0) for name in whole}, "2 of 2 tensors are empty"),
        (whole | {"base_model.model.mlp1.1.weight": torch.empty(0)}, "1 of 3 tensors are empty"),
        ({name: tensor.flatten()[:64] for name, tensor in whole.items()}, "shares of one GPU"),
    ]
    base = make_base()
    for number, (tensors, words) in enumerate(cases):
        adapter = make_adapter(tensors, f"a{number}", base_model_name_or_path="me/base")
        with pytest.raises(WeightsError, match=words) as refused:
            merge(Model.of(base, family), adapter, tmp_path / "out")
        assert "stage3_gather_16bit_weights_on_model_save" in refused.value.remedy
        found = only(hubkit.check(adapter))
        assert words in found.message and "stage3_gather" in found.remedy


def test_what_zero_to_fp32_makes_of_a_zero3_folder_merges(
    make_base: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    wrapped = {
        f"model.language_model.{name.removeprefix('base_model.model.language_model.')}": tensor
        for name, tensor in lora(
            "language_model.base_model.model.model.layers.0.attention.wo", 32, 32
        ).items()
    }
    base, joined = make_base(dtype=torch.float32), tmp_path / "joined"
    joined.mkdir()
    torch.save(wrapped, joined / "pytorch_model.bin")
    for path in (joined, joined / "pytorch_model.bin"):
        with pytest.raises(WeightsError, match="holds rank and alpha") as refused:
            merge(Model.of(base, family), path, tmp_path / "out")
    assert ".py file with a `model = dict(...)`" in refused.value.remedy
    (joined / "internvl_v2_finetune.py").write_text(XTUNER)
    (joined / "other.py").write_text("print('no configuration')")
    a, b = wrapped.values()
    expected = weights(base)[f"{WO}.weight"] + 1.5 * b @ a
    for number, path in enumerate((joined, joined / "pytorch_model.bin")):
        merge(Model.of(base, family), path, tmp_path / f"out{number}")
        torch.testing.assert_close(weights(tmp_path / f"out{number}")[f"{WO}.weight"], expected)


def test_an_adapter_of_another_base_is_told(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    for number, (named, told) in enumerate(
        {
            "/data/stage1-merged-4642": True,
            "someone/other": True,
            "me/base": False,
            "/data/models/base/": False,
            "": False,
        }.items()
    ):
        adapter = make_adapter(lora(NATIVE_WO, 32, 32), f"a{number}", base_model_name_or_path=named)
        run = Notes()
        base = tmp_path / "base" if number else make_base()
        merge(Model.of(base, family), adapter, tmp_path / f"out{number}", run=run)  # type: ignore[arg-type]
        words = [f"a{number} names the base {named!r}; it is merged into base"] if told else []
        assert run.notes == words


def test_a_local_path_as_base_is_to_be_named(make_adapter: Any, lora: Any) -> None:
    adapter = make_adapter(lora(NATIVE_WO, 32, 32), base_model_name_or_path="/data/stage1-merged")
    found = only(hubkit.check(adapter))
    assert found.where == "adapter_config.json: base_model_name_or_path"
    assert "/data/stage1-merged" in found.message and found.remedy == "name its repository"
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "me/stage1-merged"
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert hubkit.check(adapter) == ()


@pytest.mark.parametrize("rows", [70, 60])
def test_another_vocabulary_is_told(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, rows: int
) -> None:
    tables = {
        "base_model.model.model.language_model.embed_tokens.weight": torch.ones(rows, 32),
        "base_model.model.lm_head.weight": torch.ones(rows, 32),
    }
    base = make_base()
    for number, tensors in enumerate((tables, lora("lm_head", rows, 32))):
        with pytest.raises(WeightsError, match="another vocabulary") as refused:
            merge(Model.of(base, family), make_adapter(tensors, f"a{number}"), tmp_path / "out")
        assert f"resize_token_embeddings({rows})" in refused.value.remedy
        assert f"({rows}, 32)" in refused.value.message and "(64, 32)" in refused.value.message


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none is not a folder") as caught:
        open_model(tmp_path / "none")
    assert caught.value.remedy == "give the folder that holds the model's config.json"


def test_the_size_of_another_vocabulary(tmp_path: Path) -> None:
    base = tmp_path / "InternVL2-Tiny"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__"))
    config = json.loads((base / "config.json").read_text())
    llm = config["llm_config"]
    (base / "config.json").write_text(
        json.dumps({**config, "llm_config": {**llm, "vocab_size": 999}})
    )
    problem = only(hubkit.check(base))
    rows = re.fullmatch(
        r"set the language model's vocab_size to (\d+), and take the tokenizer of these weights",
        problem.remedy,
    )
    assert rows and "the vocabulary was resized" in problem.message
    llm["vocab_size"] = int(rows[1])
    (base / "config.json").write_text(json.dumps(config))
    assert hubkit.check(base) == ()
