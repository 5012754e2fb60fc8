"""hubkit's modules for xtuner compute what transformers' own classes do, under their names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hubkit_xtuner import trainable

SIZES = {
    **{"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 24},
    **{"rms_norm_eps": 1e-6, "rope_theta": 5000.0},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}),
    "llama with biases": ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("Qwen2ForCausalLM", {}),
    "qwen2 tied": ("Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 16}),
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CASES)
def test_the_logits_are_transformers_own(name: str, attention: str) -> None:
    import torch
    import transformers
    from hubkit_xtuner.modeling.configuration import DecoderConfig
    from hubkit_xtuner.modeling.decoder import DecoderForCausalLM

    architecture, more = CASES[name]
    kind: Any = getattr(transformers, architecture)
    settings = {**SIZES, "tie_word_embeddings": False, **more}
    torch.manual_seed(3)
    theirs = kind(kind.config_class(**settings)).eval()
    config = DecoderConfig(**settings, architectures=[architecture])
    config._attn_implementation = attention
    ours = DecoderForCausalLM(config).eval()
    ours.load_state_dict(theirs.state_dict())
    ids = torch.randint(0, 90, (2, 20))
    with torch.no_grad():
        wanted = theirs(input_ids=ids).logits
        embedded = ours.get_input_embeddings()(ids)
        got = ours(inputs_embeds=embedded).logits
    assert (wanted - got).abs().max() < 1e-5
    linears = [one for one in ours.modules() if isinstance(one, torch.nn.Linear)]
    counted = trainable.language_linears(
        {"llm_config": {**settings, "architectures": [architecture]}}
    )
    shapes = sorted((inputs, outputs) for _, inputs, outputs in counted)
    assert shapes == sorted((one.in_features, one.out_features) for one in linears[:-1])


@pytest.mark.parametrize(
    "scaling",
    [None, {"type": "dynamic", "factor": 2.0}, {"rope_type": "linear", "factor": 4.0}],
    ids=["none", "dynamic", "linear"],
)
def test_positions_are_turned_as_transformers_does(scaling: dict[str, Any] | None) -> None:
    """Beyond max_position_embeddings, too. transformers 5 keeps both settings in one."""
    import torch
    from hubkit_xtuner.modeling.rotary import rope
    from transformers import Qwen2Config
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

    own = SimpleNamespace(**SIZES, rope_scaling=scaling)
    theirs: Any = Qwen2RotaryEmbedding(Qwen2Config(**SIZES, rope_scaling=scaling))
    places = torch.arange(40)[None]
    cos, sin = rope(own, 40, places.device)
    for ours, wanted in zip((cos, sin), theirs(torch.zeros(1, 40, 8), places), strict=True):
        assert (ours - wanted[0]).abs().max() < 1e-5
