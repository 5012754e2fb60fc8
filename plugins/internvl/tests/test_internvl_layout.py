"""Names, shapes and parameter counts from config.json alone."""

from __future__ import annotations

from math import prod

import pytest
from hubkit_internvl import InternVL, InternVLHF
from testing.published import Index

from hubkit.sdk import ModelFamily, UsageError


def count(config, prefix=""):
    return sum(
        prod(shape) for name, shape in InternVL().layout(config).items() if name.startswith(prefix)
    )


def test_2b_has_the_official_parameter_counts(official):
    assert count(official, "vision_model.") == 304_012_288
    assert count(official, "mlp1.") == 12_595_200
    assert count(official, "language_model.") == 1_889_146_880
    assert count(official) == 2_205_754_368


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vision_model.embeddings.position_embedding", (1, 1025, 1024)),
        ("vision_model.encoder.layers.23.attn.qkv.bias", (3072,)),
        ("mlp1.1.weight", (2048, 4096)),
        ("language_model.model.layers.0.attention.wqkv.weight", (4096, 2048)),
        ("language_model.model.tok_embeddings.weight", (92553, 2048)),
        ("language_model.output.weight", (92553, 2048)),
    ],
)
def test_2b_shapes(official, name, shape):
    assert InternVL().layout(official)[name] == shape


# hidden, layers, heads, key/value heads, inner, vocabulary, 6B tower, billions of parameters (bf16
# file size / 2)
SIZES = {
    "1B": ("Qwen2ForCausalLM", 896, 24, 14, 2, 4864, 151655, False, 0.94),
    "4B": ("Phi3ForCausalLM", 3072, 32, 32, 32, 8192, 32020, False, 4.15),
    "8B": ("InternLM2ForCausalLM", 4096, 32, 32, 8, 14336, 92553, False, 8.08),
    "26B": ("InternLM2ForCausalLM", 6144, 48, 48, 8, 16384, 92553, True, 25.5),
    "40B": ("LlamaForCausalLM", 7168, 60, 56, 8, 20480, 64009, True, 40.1),
    "76B": ("LlamaForCausalLM", 8192, 80, 64, 8, 28672, 128265, True, 76.3),
}


@pytest.mark.parametrize("size", SIZES)
def test_other_sizes_add_up_to_their_published_weights(official, vit_6b, size):
    architecture, hidden, layers, heads, kv, inner, vocabulary, large_tower, billions = SIZES[size]
    official["llm_config"] |= {
        "architectures": [architecture],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
    }
    official["llm_config"] |= {
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
    }
    official["llm_config"] |= {"vocab_size": vocabulary}
    if large_tower:
        official["vision_config"] |= vit_6b
    assert count(official) / 1e9 == pytest.approx(billions, rel=0.005)


# hidden, layers, heads, inner, 6B tower, billions of parameters as InternVL3.5's README tells them
DENSE_3_5 = {
    "1B": (1024, 28, 16, 3072, False, 1.1),
    "2B": (2048, 28, 16, 6144, False, 2.3),
    "4B": (2560, 36, 32, 9728, False, 4.7),
    "8B": (4096, 36, 32, 12288, False, 8.5),
    "14B": (5120, 40, 40, 17408, False, 15.1),
    "38B": (5120, 64, 64, 25600, True, 38.4),
}


@pytest.mark.parametrize("size", DENSE_3_5)
def test_internvl3_5_adds_up_and_has_head_norms(official, vit_6b, size):
    hidden, layers, heads, inner, large_tower, billions = DENSE_3_5[size]
    del official["llm_config"]["rope_scaling"]
    official["llm_config"] |= {"architectures": ["Qwen3ForCausalLM"], "hidden_size": hidden}
    official["llm_config"] |= {"num_hidden_layers": layers, "num_attention_heads": heads}
    official["llm_config"] |= {"num_key_value_heads": 8, "head_dim": 128}
    official["llm_config"] |= {"intermediate_size": inner, "vocab_size": 151936}
    official["template"] = "internvl2_5"
    if large_tower:
        official["vision_config"] |= vit_6b
    assert count(official) / 1e9 == pytest.approx(billions, abs=0.05)
    layout, at = InternVL().layout(official), "language_model.model.layers.0.self_attn."
    assert layout[f"{at}q_proj.weight"] == (128 * heads, hidden)
    assert layout[f"{at}q_norm.weight"] == layout[f"{at}k_norm.weight"] == (128,)
    assert f"{at}q_proj.bias" not in layout
    assert InternVL().describe(official).description.startswith("InternVL3.5 (")


def test_the_index_of_2_5_8b(official):
    """OpenGVLab/InternVL2_5-8B's model.safetensors.index.json, whose names and total_size are
    InternVL2-8B's too."""
    official["llm_config"] |= {"hidden_size": 4096, "num_hidden_layers": 32}
    official["llm_config"] |= {"num_attention_heads": 32, "intermediate_size": 14336}
    known = Index(573, "c2469107d6677e48f65ecdc313462ecc", 16_150_730_752)
    known.check(InternVL().layout(official))


# hidden, layers, heads, experts' width, 6B tower, parameters: as many billions as InternVL3.5's
# README tells, 30.8 and 240.7; the index files were not at hand
MOE_3_5 = {
    "30B-A3B": (2048, 48, 32, 768, False, 30_848_730_112),
    "241B-A28B": (4096, 94, 64, 1536, True, 240_699_370_368),
}


@pytest.mark.parametrize("size", MOE_3_5)
def test_internvl3_5_with_experts_adds_up(official, vit_6b, size):
    hidden, layers, heads, inner, large_tower, parameters = MOE_3_5[size]
    del official["llm_config"]["rope_scaling"]
    official["llm_config"] |= {"architectures": ["Qwen3MoeForCausalLM"], "hidden_size": hidden}
    official["llm_config"] |= {"num_hidden_layers": layers, "num_attention_heads": heads}
    official["llm_config"] |= {"num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936}
    official["llm_config"] |= {"num_experts": 128, "moe_intermediate_size": inner}
    if large_tower:
        official["vision_config"] |= vit_6b
    assert count(official) == parameters
    layout, at = InternVL().layout(official), "language_model.model.layers.0.mlp."
    assert layout[f"{at}gate.weight"] == (128, hidden)
    assert layout[f"{at}experts.127.up_proj.weight"] == (inner, hidden)
    native = InternVL().native(official, {"<IMG_CONTEXT>": 151671}).config
    assert InternVLHF().describe(native).parameters == parameters


def test_internvl3_5_gpt_oss_20b_adds_up(official):
    """21.2 billion, as its model card says; the vocabulary is openai/gpt-oss-20b's, whose config
    says 201,088 rows. In bfloat16; its index file was not at hand."""
    official["llm_config"] = {
        **{"architectures": ["GptOssForCausalLM"], "hidden_size": 2880, "vocab_size": 201088},
        **{"num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8},
        **{"head_dim": 64, "intermediate_size": 2880, "num_local_experts": 32},
    }
    assert count(official) / 1e9 == pytest.approx(21.2, abs=0.05)
    layout, at = InternVL().layout(official), "language_model.model.layers.0."
    assert layout[f"{at}mlp.experts.gate_up_proj"] == (32, 2880, 5760)
    assert layout[f"{at}mlp.experts.gate_up_proj_bias"] == (32, 5760)
    assert layout[f"{at}self_attn.sinks"] == (64,)
    assert layout[f"{at}self_attn.q_proj.bias"] == (4096,)


def test_6b_tower_has_qk_norms_and_no_biases(tiny):
    names = InternVL().layout(tiny(vit_6b=True))
    layer = "vision_model.encoder.layers.1."
    assert {name.removeprefix(layer) for name in names if name.startswith(layer)} == {
        *(
            "ls1",
            "ls2",
            "norm1.weight",
            "norm2.weight",
            "attn.qkv.weight",
            "attn.q_norm.weight",
            "attn.k_norm.weight",
        ),
        *(
            "attn.proj.weight",
            "attn.proj.bias",
            "mlp.fc1.weight",
            "mlp.fc1.bias",
            "mlp.fc2.weight",
            "mlp.fc2.bias",
        ),
    }


def test_tied_embeddings_have_no_head(tiny):
    family = InternVL()
    assert "language_model.lm_head.weight" in family.layout(tiny("Qwen2ForCausalLM"))
    assert "language_model.lm_head.weight" not in family.layout(
        tiny("Qwen2ForCausalLM", tie_word_embeddings=True)
    )


@pytest.mark.parametrize(
    "architecture",
    ["InternLM2", "Qwen2", "Qwen3", "Llama", "Phi3"],
)
@pytest.mark.parametrize("vit_6b", [False, True])
def test_native_rows_cover_each_official_tensor_exactly_once(tiny, architecture, vit_6b):
    family, config = InternVL(), tiny(f"{architecture}ForCausalLM", vit_6b=vit_6b)
    rows = {name: [] for name in family.layout(config)}
    for tensor in family.native(config).tensors:
        height = family.layout(config)[tensor.source][0]
        rows[tensor.source] += [
            row for first, last in tensor.rows or ((0, height),) for row in range(first, last)
        ]
    assert {name: sorted(taken) for name, taken in rows.items()} == {
        name: list(range(shape[0])) for name, shape in family.layout(config).items()
    }


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("llm_config", "architectures", None, "llm_config.architectures must name"),
        ("llm_config", "hidden_size", "2048", "llm_config.hidden_size must be int"),
        ("llm_config", "num_hidden_layers", 0, "llm_config.num_hidden_layers must be at least 1"),
        ("llm_config", "architectures", ["MambaForCausalLM"], "MambaForCausalLM"),
        ("llm_config", "num_key_value_heads", 5, "num_key_value_heads (5) must divide"),
        ("vision_config", "norm_type", "batch_norm", "vision_config.norm_type"),
        ("vision_config", "patch_size", [14, 16], "vision_config.patch_size"),
    ],
)
def test_bad_config_names_the_key(official, section, key, value, named):
    official[section][key] = value
    with pytest.raises(UsageError) as caught:
        InternVL().layout(official)
    assert named in caught.value.message


def test_describes_and_recognises(official):
    family: ModelFamily = InternVL()
    assert family.recognises(official)
    assert not family.recognises({"architectures": ["InternVLForConditionalGeneration"]})
    assert not family.recognises({})
    described = family.describe(official)
    assert described.description == "InternVL2 (InternViT-300M + InternLM2, 2.2 B parameters)"
    assert described.parameters == 2_205_754_368


@pytest.mark.parametrize("kind", ["InternLM2", "Llama", "Qwen2", "Qwen3", "Phi3"])
def test_class_defaults_that_are_left_out(official, kind):
    """Those of OpenGVLab's and transformers' configuration classes."""
    usual = {
        "InternLM2": (103168, 4096, 11008, 32),
        "Llama": (32000, 4096, 11008, 32),
        "Qwen2": (151936, 4096, 22016, 32),
        "Qwen3": (151936, 4096, 22016, 32),
        "Phi3": (32064, 3072, 8192, 32),
    }[kind]
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    short = {"architectures": [f"{kind}ForCausalLM"]}
    full = short | dict(zip(keys, usual, strict=True)) | {"num_attention_heads": 32}
    if kind == "InternLM2":
        full["bias"] = True
    tower = {
        **{"hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 48},
        **{"num_attention_heads": 25, "image_size": 224, "patch_size": 14},
        **{"qkv_bias": False, "qk_normalization": True, "norm_type": "rms_norm"},
    }
    left_out = {**official, "llm_config": short, "vision_config": {}}
    written = {**official, "llm_config": full, "vision_config": tower}
    assert InternVL().layout(left_out) == InternVL().layout(written)
