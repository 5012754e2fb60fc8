"""Llama, Qwen2 and Qwen3, for training only: the whole sequence at once, no cache, padding on the
right. transformers has no Qwen3 before 4.51, and xtuner wants 4.48."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .attention import attend
from .configuration import DecoderConfig
from .norm import RMSNorm
from .rotary import Rope, head_size, rope, rotate


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width, self.size = config.hidden_size, head_size(config)
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.eager = config._attn_implementation == "eager"
        bias, kind = bool(config.attention_bias), config.architectures[0]
        asks = bias or kind == "Qwen2ForCausalLM"
        self.q_proj = nn.Linear(width, self.heads * self.size, bias=asks)
        self.k_proj = nn.Linear(width, self.groups * self.size, bias=asks)
        self.v_proj = nn.Linear(width, self.groups * self.size, bias=asks)
        self.o_proj = nn.Linear(self.heads * self.size, width, bias=bias)
        self.normalised = kind == "Qwen3ForCausalLM"
        if self.normalised:
            self.q_norm = RMSNorm(self.size, config.rms_norm_eps)
            self.k_norm = RMSNorm(self.size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, turn: Rope) -> Tensor:
        batch, length, _ = hidden.shape
        query, key, value = (
            one(hidden).view(batch, length, -1, self.size)
            for one in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self.normalised:
            query, key = self.q_norm(query), self.k_norm(key)
        query, key, value = (one.transpose(1, 2) for one in (query, key, value))
        query, key = rotate(query, turn), rotate(key, turn)
        each = self.heads // self.groups
        key, value = (one.repeat_interleave(each, dim=1) for one in (key, value))
        out = attend(query, key, value, causal=True, eager=self.eager)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        bias = bool(getattr(config, "mlp_bias", False))
        self.gate_proj = nn.Linear(width, inner, bias=bias)
        self.up_proj = nn.Linear(width, inner, bias=bias)
        self.down_proj = nn.Linear(inner, width, bias=bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config), Mlp(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, turn: Rope) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), turn)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class DecoderModel(PreTrainedModel):
    config_class = DecoderConfig
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.gradient_checkpointing = False
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        turn = rope(self.config, hidden.shape[1], hidden.device)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                hidden = self._gradient_checkpointing_func(layer.__call__, hidden, turn)
            else:
                hidden = layer(hidden, turn)
        return self.norm(hidden)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens


class DecoderForCausalLM(PreTrainedModel):
    config_class = DecoderConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ("Layer",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = DecoderModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._tie_weights()

    def _tie_weights(self) -> None:
        """transformers (4.48) calls it again when the weights are there: loading parts what is
        tied."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_unused: Any
    ) -> CausalLMOutputWithPast:
        """Logits are float32 (batch, length, vocabulary). A mask is not needed: padding follows the
        text, and the model looks back only."""
        embedded = self.model.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(embedded)).float())

    def prepare_inputs_for_generation(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise NotImplementedError("this class trains; an engine generates")

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def _init_weights(self, module: nn.Module) -> None:
        """Every weight comes from the folder."""
