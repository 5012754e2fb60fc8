"""InternViT: 300M (LayerNorm) and 6B (RMSNorm, queries and keys normalised over all heads)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from .attention import attend
from .configuration import VisionConfig
from .norm import RMSNorm


class Embeddings(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width, patches = config.hidden_size, (config.image_size // config.patch_size) ** 2
        self.class_embedding = nn.Parameter(torch.randn(1, 1, width))
        self.patch_embedding = nn.Conv2d(
            config.num_channels, width, config.patch_size, stride=config.patch_size
        )
        self.position_embedding = nn.Parameter(torch.randn(1, patches + 1, width))

    def forward(self, pixels: Tensor) -> Tensor:
        """(tiles, 3, side, side) to (tiles, 1 + patches, width)."""
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(patches), -1, -1).to(patches.dtype)
        return torch.cat([first, patches], dim=1) + self.position_embedding.to(patches.dtype)


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads, self.normalised = config.num_attention_heads, config.qk_normalization
        self.eager = config._attn_implementation == "eager"
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.proj = nn.Linear(width, width)
        if self.normalised:
            self.q_norm = RMSNorm(width, config.layer_norm_eps)
            self.k_norm = RMSNorm(width, config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        batch, length, width = hidden.shape
        query, key, value = self.qkv(hidden).chunk(3, dim=-1)
        if self.normalised:
            query, key = self.q_norm(query), self.k_norm(key)
        split = [
            one.view(batch, length, self.heads, -1).transpose(1, 2) for one in (query, key, value)
        ]
        mixed = attend(*split, causal=False, eager=self.eager)
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(hidden)))


class Layer(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        norm = RMSNorm if config.norm_type == "rms_norm" else nn.LayerNorm
        self.attn, self.mlp = Attention(config), Mlp(config)
        self.norm1 = norm(config.hidden_size, eps=config.layer_norm_eps)
        self.norm2 = norm(config.hidden_size, eps=config.layer_norm_eps)
        self.ls1 = nn.Parameter(torch.ones(config.hidden_size))
        self.ls2 = nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.norm1(hidden)) * self.ls1
        return hidden + self.mlp(self.norm2(hidden)) * self.ls2


class Encoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class InternVisionModel(PreTrainedModel):
    """Drop path is not applied: xtuner freezes this tower or gives it a LoRA."""

    config_class = VisionConfig
    main_input_name = "pixel_values"
    _supports_sdpa = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)

    def forward(self, pixel_values: Tensor, layer: int = -1) -> Tensor:
        """Hidden states after layer number `layer` as Python indexes [embeddings, first, ...,
        last]."""
        hidden = self.embeddings(pixel_values)
        trained = self.training and any(parameter.requires_grad for parameter in self.parameters())
        for one in self.encoder.layers[: layer % (len(self.encoder.layers) + 1)]:
            hidden = checkpoint(one, hidden, use_reentrant=False) if trained else one(hidden)
        return hidden

    def _init_weights(self, module: nn.Module) -> None:
        """Every weight comes from the folder."""
