"""The native view is what transformers loads: every key used, none missing, none left over, and the
same function."""

from __future__ import annotations

import json

import pytest
from hubkit_internvl import InternVL

from hubkit.sdk import UsageError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
IMAGE_TOKEN = 57
TOKENS = {"<IMG_CONTEXT>": IMAGE_TOKEN}


@pytest.fixture
def native_folder(tmp_path):
    """Writes random official tensors as native ones and returns (folder, official tensors)."""
    from safetensors.torch import save_file

    def write(config):
        family, draw = InternVL(), torch.Generator().manual_seed(0)
        official = {
            name: torch.randn(shape, generator=draw) * 0.2
            for name, shape in family.layout(config).items()
        }
        native = family.native(config, TOKENS)
        tensors = {}
        for tensor in native.tensors:
            source = official[tensor.source]
            tensors[tensor.name] = torch.cat(
                [source[a:b] for a, b in tensor.rows or ((0, len(source)),)]
            )
        (tmp_path / "config.json").write_text(json.dumps(native.config), encoding="utf-8")
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path, official

    return write


def load(folder):
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert {key: list(value) for key, value in info.items() if value} == {}
    return model.eval()


@pytest.mark.parametrize("vit_6b", [False, True], ids=["300M", "6B"])
@pytest.mark.parametrize(
    "architecture",
    ["InternLM2", "Qwen2", "Qwen3", "Llama", "Phi3"],
)
def test_loads_with_nothing_missing_and_nothing_unexpected(
    tiny, native_folder, architecture, vit_6b
):
    config = tiny(f"{architecture}ForCausalLM", vit_6b=vit_6b)
    folder, _ = native_folder(config)
    model = load(folder)
    names = {tensor.name for tensor in InternVL().native(config).tensors}
    assert {name for name, _ in model.named_parameters()} == names
    ids = torch.tensor([[1, *[IMAGE_TOKEN] * 4, 5, 6]])
    logits = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=torch.randn(1, 3, 28, 28)
    ).logits
    assert logits.shape == (1, 7, 61) and bool(logits.isfinite().all())


def test_tied_model_shares_its_head(tiny, native_folder):
    folder, official = native_folder(tiny("Qwen2ForCausalLM", tie_word_embeddings=True))
    model = load(folder)
    assert (
        model.lm_head.weight.data_ptr() == model.model.language_model.embed_tokens.weight.data_ptr()
    )
    assert torch.equal(model.lm_head.weight, official["language_model.model.embed_tokens.weight"])


def test_untied_is_said_at_both_levels(tiny):
    config = InternVL().native(tiny()).config
    assert (config["tie_word_embeddings"], config["text_config"]["tie_word_embeddings"]) == (
        False,
        False,
    )


def test_wqkv_is_grouped_by_key_value_head(tiny, native_folder):
    """Against an independent computation: view as (kv heads, queries per group + 2, head size,
    hidden)."""
    folder, official = native_folder(tiny())
    attention = load(folder).model.language_model.layers[1].self_attn
    grouped = official["language_model.model.layers.1.attention.wqkv.weight"].view(2, 4, 8, 32)
    assert torch.equal(attention.q_proj.weight, grouped[:, :2].reshape(32, 32))
    assert torch.equal(attention.k_proj.weight, grouped[:, 2].reshape(16, 32))
    assert torch.equal(attention.v_proj.weight, grouped[:, 3].reshape(16, 32))


def test_vision_attention_equals_the_fused_computation(tiny, native_folder):
    """InternViT as published: one fused product, then heads; here without biases' help from
    transformers."""
    folder, official = native_folder(tiny())
    attention = load(folder).model.vision_tower.encoder.layer[0].attention
    states = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(1))
    prefix = "vision_model.encoder.layers.0.attn."
    fused = states @ official[prefix + "qkv.weight"].T + official[prefix + "qkv.bias"]
    q, k, v = fused.view(2, 5, 3, 2, 12).permute(2, 0, 3, 1, 4)
    mixed = ((q @ k.transpose(-1, -2)) * 12**-0.5).softmax(-1) @ v
    expected = (
        mixed.transpose(1, 2).reshape(2, 5, 24) @ official[prefix + "proj.weight"].T
        + official[prefix + "proj.bias"]
    )
    assert torch.allclose(attention(states)[0], expected, atol=1e-5)


def test_dynamic_rope_is_kept(official, tiny, native_folder):
    rope = InternVL().native(official).config["text_config"]["rope_parameters"]
    assert rope == {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1_000_000.0}
    folder, _ = native_folder(tiny(rope_scaling={"type": "dynamic", "factor": 2.0}))
    assert load(folder).config.text_config.rope_parameters["factor"] == 2.0


def test_phi3_long_rope(tiny, native_folder):
    scaling = {"type": "su", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    config = tiny("Phi3ForCausalLM", rope_scaling=scaling, original_max_position_embeddings=4096)
    folder, _ = native_folder(config)
    assert load(folder).config.text_config.rope_parameters["rope_type"] == "longrope"


def test_image_token_comes_from_the_tokenizer(official):
    family = InternVL()
    assert family.native(official, {"<IMG_CONTEXT>": 92546}).config["image_token_id"] == 92546
    assert "image_token_id" not in family.native(official).config
    with pytest.raises(UsageError, match="<IMG_CONTEXT> is not in the tokenizer"):
        family.native(official, {})


def test_old_pixel_shuffle_is_refused(official):
    official["ps_version"] = "v1"
    with pytest.raises(UsageError, match="ps_version"):
        InternVL().native(official)


def test_groups_are_real_modules(tiny, native_folder):
    config = tiny("Phi3ForCausalLM")
    model = load(native_folder(config)[0])
    for group in InternVL().native(config).groups.values():
        module = model.get_submodule(group.prefix)
        linear = {
            name.split(".")[-1]
            for name, part in module.named_modules()
            if isinstance(part, torch.nn.Linear)
        }
        assert linear == set(group.linears)
