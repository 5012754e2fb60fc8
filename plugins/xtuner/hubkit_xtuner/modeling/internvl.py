"""The whole model, as xtuner's InternVL_V1_5 drives it: `language_model`, `vision_model`, `mlp1`
and `extract_feature`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .configuration import InternVLConfig
from .decoder import DecoderForCausalLM
from .internlm2 import InternLM2ForCausalLM
from .vit import InternVisionModel

HEADS = ("language_model.output", "language_model.lm_head")


class InternVLModel(PreTrainedModel):
    config_class = InternVLConfig
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ("Layer",)
    attention = "sdpa"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        vision, llm = config.vision_config, config.llm_config
        if config.force_image_size != vision.image_size:
            raise ValueError(
                f"force_image_size {config.force_image_size} is not vision_config.image_size "
                f"{vision.image_size}"
            )
        vision._attn_implementation = self.attention
        llm._attn_implementation = (
            self.attention
        )  # xtuner writes flash_attention_2 here, whether or not flash-attn is installed
        self.img_context_token_id: int | None = None
        self.vision_model = InternVisionModel(vision)
        self.language_model = _language_class(llm.architectures[0])(llm)
        wide = vision.hidden_size * round(1 / config.downsample_ratio) ** 2
        self.mlp1 = nn.Sequential(
            nn.LayerNorm(wide),
            nn.Linear(wide, llm.hidden_size),
            nn.GELU(),
            nn.Linear(llm.hidden_size, llm.hidden_size),
        )

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """`mlp1`, which is trained whole, is float32: in bfloat16 small steps round to nothing, and
        GradScaler refuses it. (DeepSpeed keeps its own float32 copy and casts all to its
        precision.) The head is never quantized: transformers leaves it by default, but xtuner says
        itself what is left, and a head in 4 bits ended the first iteration on an H200 in
        CUBLAS_STATUS_INTERNAL_ERROR (bitsandbytes 0.50.2, torch 2.11).

        Raises:
            ValueError: the folder lacks a weight or has one that is not the model's; transformers
                would only warn.
        """
        if few_bits := kwargs.get("quantization_config"):
            few_bits.llm_int8_skip_modules = [*(few_bits.llm_int8_skip_modules or ()), *HEADS]
        model, info = super().from_pretrained(*args, **{**kwargs, "output_loading_info": True})
        if wrong := {kind: sorted(map(str, keys))[:5] for kind, keys in info.items() if keys}:
            raise ValueError(f"weights that do not fit config.json: {wrong}")
        if not hasattr(model.mlp1[1].weight, "ds_id"):  # ZeRO-3 has it in parts
            model.mlp1.float()
        return (model, info) if kwargs.get("output_loading_info") else model

    def extract_feature(self, pixel_values: Tensor) -> Tensor:
        """(tiles, 3, side, side) to (tiles, image tokens of a tile, width of the language
        model)."""
        hidden = self.vision_model(pixel_values, layer=self.config.select_layer)[:, 1:]
        blocks = shuffled(hidden, round(1 / self.config.downsample_ratio), self.config.ps_version)
        return self.mlp1(blocks.to(self.mlp1[1].weight.dtype))

    def _init_weights(self, module: nn.Module) -> None:
        """Every weight comes from the folder."""


def _language_class(architecture: str) -> Any:
    if architecture == "Phi3ForCausalLM":
        from transformers import Phi3ForCausalLM  # since 4.41

        return Phi3ForCausalLM
    return InternLM2ForCausalLM if architecture == "InternLM2ForCausalLM" else DecoderForCausalLM


def shuffled(hidden: Tensor, factor: int, version: str) -> Tensor:
    """Patches (tiles, side * side, width) in blocks of factor x factor: (tiles, blocks, width *
    factor ** 2), row by row; in the first version, a known mistake of the model's authors, column
    by column."""
    tiles, count, width = hidden.shape
    side = round(count**0.5)
    small = side // factor
    grid = hidden.view(tiles, small, factor, small, factor, width).permute(0, 1, 3, 2, 4, 5)
    if version == "v1":
        grid = grid.transpose(1, 2)
    return grid.reshape(tiles, small * small, factor * factor * width)
