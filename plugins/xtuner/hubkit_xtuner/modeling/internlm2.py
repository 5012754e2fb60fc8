"""InternLM2, for training only: the whole sequence at once, no cache, padding on the right (where
xtuner puts it)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .attention import attend
from .configuration import InternLM2Config
from .norm import RMSNorm
from .rotary import Rope, rope, rotate


class Attention(nn.Module):
    """`wqkv` holds, for each key/value head, its query heads, then the key, then the value."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size, self.eager = (
            config.hidden_size // self.heads,
            config._attn_implementation == "eager",
        )
        self.wqkv = nn.Linear(
            config.hidden_size, (self.heads + 2 * self.groups) * self.size, bias=config.bias
        )
        self.wo = nn.Linear(self.heads * self.size, config.hidden_size, bias=config.bias)

    def forward(self, hidden: Tensor, turn: Rope) -> Tensor:
        batch, length, _ = hidden.shape
        each = self.heads // self.groups
        mixed = self.wqkv(hidden).view(batch, length, self.groups, each + 2, self.size)
        query, key, value = mixed.split([each, 1, 1], dim=3)
        query = query.reshape(batch, length, self.heads, self.size).transpose(1, 2)
        key, value = (one.squeeze(3).transpose(1, 2) for one in (key, value))
        query, key = rotate(query, turn), rotate(key, turn)
        key, value = (one.repeat_interleave(each, dim=1) for one in (key, value))
        out = attend(query, key, value, causal=True, eager=self.eager)
        return self.wo(out.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w3 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.w2(functional.silu(self.w1(hidden)) * self.w3(hidden))


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(config), FeedForward(config)
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, turn: Rope) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), turn)
        return hidden + self.feed_forward(self.ffn_norm(hidden))


class InternLM2Model(PreTrainedModel):
    config_class = InternLM2Config
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.gradient_checkpointing = False
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
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
        return self.tok_embeddings


class InternLM2ForCausalLM(PreTrainedModel):
    config_class = InternLM2Config
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ("Layer",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = InternLM2Model(config)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_unused: Any
    ) -> CausalLMOutputWithPast:
        """Logits are float32 (batch, length, vocabulary). A mask is not needed: padding follows the
        text, and the model looks back only."""
        embedded = self.model.tok_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        return CausalLMOutputWithPast(logits=self.output(self.model(embedded)).float())

    def prepare_inputs_for_generation(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise NotImplementedError("this class trains; an engine generates")

    def get_input_embeddings(self) -> nn.Module:
        return self.model.tok_embeddings

    def get_output_embeddings(self) -> nn.Module:
        return self.output

    def _init_weights(self, module: nn.Module) -> None:
        """Every weight comes from the folder."""
