"""A tiny real Llama and a tiny real CLIP, as folders, and a LLaVA assembled of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testing.tiny_llava import TEXT, copy_tokenizer, make_clip, make_llm


@pytest.fixture(scope="session")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llm(tmp_path_factory.mktemp("parts") / "llm")


@pytest.fixture(scope="session")
def internlm2(llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same numbers as an InternLM2 stores them."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("parts") / "internlm2"
    folder.mkdir()
    old = load_file(llm / "model.safetensors")
    new = {
        "model.tok_embeddings.weight": old.pop("model.embed_tokens.weight"),
        "output.weight": old.pop("lm_head.weight"),
    }
    names = {
        **{
            "self_attn.o_proj": "attention.wo",
            "mlp.gate_proj": "feed_forward.w1",
            "mlp.up_proj": "feed_forward.w3",
        },
        **{
            "mlp.down_proj": "feed_forward.w2",
            "input_layernorm": "attention_norm",
            "post_attention_layernorm": "ffn_norm",
        },
    }
    for layer in range(TEXT["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        q, k, v = (old.pop(f"{at}self_attn.{one}_proj.weight") for one in "qkv")
        grouped = (q.view(2, 2, 8, 32), k.view(2, 1, 8, 32), v.view(2, 1, 8, 32))
        new[f"{at}attention.wqkv.weight"] = torch.cat(grouped, 1).reshape(-1, 32).contiguous()
        for name, other in names.items():
            new[f"{at}{other}.weight"] = old.pop(f"{at}{name}.weight")
    save_file({**new, **old}, folder / "model.safetensors", {"format": "pt"})
    config = {
        **TEXT,
        "architectures": ["InternLM2ForCausalLM"],
        "model_type": "internlm2",
        "bias": False,
    }
    config |= {
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "hidden_act": "silu",
    }
    (folder / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoConfig": "x.Y"}}), "utf-8"
    )
    copy_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("parts") / "clip")


@pytest.fixture(scope="session")
def base(llm: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import hubkit

    folder = tmp_path_factory.mktemp("models") / "LLaVA-Tiny"
    hubkit.assemble(llm, clip, folder, family="llava")
    return folder


@pytest.fixture(scope="session")
def load() -> Callable[[Path], Any]:
    """A folder as transformers loads it, in float32; every tensor has its place."""

    def read(folder: Path) -> Any:
        import torch
        from transformers import LlavaForConditionalGeneration

        loaded = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        model, info = loaded
        assert not any(info.values()), info
        return model.eval()

    return read
