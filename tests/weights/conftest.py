"""A small family in the manner of InternVL2 with InternLM2, written apart from the plugin, and
folders of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hubkit.sdk import (
    CardFacts,
    Companions,
    ModuleGroup,
    NativeModel,
    Problem,
    RecognisedModel,
    TensorMap,
    Vision,
)

TOKENIZER = (
    '{"model": {"vocab": {"/usr/lib/": 1}}, "added_tokens": [{"content": "<IMG_CONTEXT>", '
    '"id": 60}]}'
)
HEADS, KV_HEADS, HEAD, HIDDEN, INNER, VOCAB = 4, 2, 8, 32, 48, 64


class TinyFamily:
    kind, name, sdk = "family", "tiny", "1.0"

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "tiny"

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        return RecognisedModel("tiny", "a tiny model", 1)

    def layout(self, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {
            "language_model.model.tok_embeddings.weight": (VOCAB, HIDDEN)
        }
        for i in range(config["layers"]):
            at = f"language_model.model.layers.{i}"
            found[f"{at}.attention.wqkv.weight"] = ((HEADS + 2 * KV_HEADS) * HEAD, HIDDEN)
            found[f"{at}.attention.wo.weight"] = (HIDDEN, HIDDEN)
            found[f"{at}.feed_forward.w1.weight"] = (INNER, HIDDEN)
            found[f"{at}.feed_forward.w2.weight"] = (HIDDEN, INNER)
        found["language_model.output.weight"] = (VOCAB, HIDDEN)
        found["mlp1.0.weight"] = found["mlp1.0.bias"] = (HIDDEN,)
        found["mlp1.1.weight"] = (HIDDEN, HIDDEN)
        found["vision_model.embeddings.class_embedding"] = (1, 1, HIDDEN)
        return found

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        maps = [
            TensorMap(
                "model.language_model.embed_tokens.weight",
                "language_model.model.tok_embeddings.weight",
            )
        ]
        group = HEADS // KV_HEADS + 2
        parts = {"q": range(group - 2), "k": (group - 2,), "v": (group - 1,)}
        for i in range(config["layers"]):
            at, native = f"language_model.model.layers.{i}", f"model.language_model.layers.{i}"
            for part, places in parts.items():
                rows = tuple(
                    ((g * group + places[0]) * HEAD, (g * group + places[-1] + 1) * HEAD)
                    for g in range(KV_HEADS)
                )
                maps.append(
                    TensorMap(
                        f"{native}.self_attn.{part}_proj.weight",
                        f"{at}.attention.wqkv.weight",
                        rows,
                    )
                )
            maps.append(TensorMap(f"{native}.self_attn.o_proj.weight", f"{at}.attention.wo.weight"))
            maps.append(TensorMap(f"{native}.mlp.gate_proj.weight", f"{at}.feed_forward.w1.weight"))
            maps.append(TensorMap(f"{native}.mlp.down_proj.weight", f"{at}.feed_forward.w2.weight"))
        maps.append(TensorMap("lm_head.weight", "language_model.output.weight"))
        maps.append(TensorMap("model.multi_modal_projector.layer_norm.weight", "mlp1.0.weight"))
        maps.append(TensorMap("model.multi_modal_projector.layer_norm.bias", "mlp1.0.bias"))
        maps.append(TensorMap("model.multi_modal_projector.linear_1.weight", "mlp1.1.weight"))
        maps.append(
            TensorMap(
                "model.vision_tower.embeddings.cls_token", "vision_model.embeddings.class_embedding"
            )
        )
        own = {"model_type": "native", "image_token_id": (tokens or {}).get("<IMG_CONTEXT>")}
        return NativeModel(own, tuple(maps), {"llm": ModuleGroup("", ())})

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        return Vision(56, 16, 1, 12, True, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def companions(self, config: Mapping[str, Any]) -> Companions:
        return Companions(
            ("modeling_tiny.py", "tokenizer.json|tokenizer.model"),
            ("generation_config.json", "LICENSE"),
        )

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return (
            (Problem("tokenizer.json", "from the family", "x"),)
            if (folder / "odd.txt").exists()
            else ()
        )

    def repository_problem(self, repository: str) -> str | None:
        return None

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        return CardFacts("transformers", "image-text-to-text", (), {})


@pytest.fixture
def family() -> TinyFamily:
    return TinyFamily()


MakeBase = Callable[..., Path]


@pytest.fixture
def make_base(tmp_path: Path, family: TinyFamily) -> MakeBase:
    def make(
        name: str = "base",
        dtype: torch.dtype = torch.bfloat16,
        shards: int = 1,
        layers: int = 2,
        seed: int = 0,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {
            "model_type": "tiny",
            "layers": layers,
            "torch_dtype": str(dtype).removeprefix("torch."),
        }
        generator = torch.Generator().manual_seed(seed)
        tensors = {
            n: torch.randn(shape, generator=generator).mul_(0.05).to(dtype)
            for n, shape in family.layout(config).items()
        }
        (folder / "config.json").write_text(
            json.dumps({**config, "_name_or_path": "/home/someone/models/tiny"})
        )
        (folder / "modeling_tiny.py").write_text("class Tiny: ...\n")
        (folder / "tokenizer.json").write_text(TOKENIZER)
        (folder / "generation_config.json").write_text(
            '{"eos_token_id": [2], "auto_map": {"X": "y.Z"}}'
        )
        write_shards(folder, tensors, shards)
        return folder

    return make


def write_shards(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    weight_map = {}
    for i in range(shards):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {n: t for j, (n, t) in enumerate(tensors.items()) if j * shards // len(tensors) == i}
        save_file(part, folder / name, {"format": "pt"})
        weight_map.update(dict.fromkeys(part, name))
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.fixture
def make_adapter(tmp_path: Path) -> Callable[..., Path]:
    def make(tensors: dict[str, torch.Tensor], name: str = "adapter", **settings: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {
            "peft_type": "LORA",
            "r": 4,
            "lora_alpha": 6,
            "lora_dropout": 0.05,
            "use_dora": False,
            **settings,
        }
        (folder / "adapter_config.json").write_text(json.dumps(config))
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
        return folder

    return make


@pytest.fixture
def lora() -> Callable[..., dict[str, torch.Tensor]]:
    def make(
        module: str, out: int, width: int, rank: int = 4, seed: int = 1
    ) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {
            f"base_model.model.{module}.lora_A.weight": torch.randn(
                rank, width, generator=generator
            )
            * 0.1,
            f"base_model.model.{module}.lora_B.weight": torch.randn(out, rank, generator=generator)
            * 0.1,
        }

    return make


CONTEXT = 57


@pytest.fixture(scope="session")
def official_internvl() -> Callable[..., Path]:
    return _official_internvl


def _official_internvl(
    folder: Path, architecture: str = "InternLM2ForCausalLM", **vision: Any
) -> Path:
    """A random model of the official layout: 2 layers of 4 heads over 2, tiles of 28 pixels, 4
    image tokens."""
    config = {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "ps_version": "v2",
        "select_layer": -1,
        "downsample_ratio": 0.5,
        "force_image_size": 28,
        "dynamic_image_size": True,
        "max_dynamic_patch": 4,
        "template": "internlm2-chat",
        "torch_dtype": "float32",
        "llm_config": {
            "architectures": [architecture],
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "vocab_size": 61,
            "bias": False,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
        },
        "vision_config": {
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "image_size": 28,
            "patch_size": 7,
            "num_channels": 3,
            "norm_type": "layer_norm",
            "qkv_bias": True,
            "qk_normalization": False,
            **vision,
        },
    }
    if architecture == "Phi3ForCausalLM":
        config["llm_config"] |= {"rope_scaling": None}
    from hubkit.registry.plugins import plugins

    family = plugins().get("family", "internvl")
    folder.mkdir()
    generator = torch.Generator().manual_seed(3)
    tensors = {
        n: torch.randn(s, generator=generator) * 0.2 for n, s in family.layout(config).items()
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    added = [{"id": CONTEXT, "content": "<IMG_CONTEXT>", "special": True}]
    files = {
        "config.json": config,
        "generation_config.json": {"eos_token_id": [2]},
        "special_tokens_map.json": {},
        "tokenizer_config.json": {
            "added_tokens_decoder": {str(CONTEXT): {"content": "<IMG_CONTEXT>"}}
        },
        "tokenizer.json": {"model": {}, "added_tokens": added},
    }
    for name, data in files.items():
        (folder / name).write_text(json.dumps(data))
    return folder


@pytest.fixture
def load_native() -> Callable[[Path], Any]:
    return _load


def _load(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert {key: list(value) for key, value in info.items() if value} == {}
    return model.eval()


@pytest.fixture
def native_logits() -> Callable[[Any], torch.Tensor]:
    return _logits


def _logits(model: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    ids = torch.tensor([[1, *[CONTEXT] * 4, 5, 6, 7]])
    with torch.no_grad():
        picture = torch.randn(1, 3, 28, 28, generator=generator)
        found: torch.Tensor = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=picture
        ).logits
    return found


@pytest.fixture
def job(make_base: Any, family: Any, tmp_path: Path) -> dict[str, Any]:
    return {"base": make_base(), "out": tmp_path / "out", "family": family}
