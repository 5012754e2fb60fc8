"""For families whose published folder is transformers' own: a family is then a table of shapes,
prefixes and names.

class Mine(PlainFamily):
    name, title, mark = "mine", "Mine", "Mine"
    architectures = ("MineForConditionalGeneration",)
    held = (("language_model.", "model.language_model."),)
    groups = {"llm": ModuleGroup("model.language_model", DECODER_LINEARS), ...}

    def shapes(self, config): yield from decoder(Section(config, "text_config"), "language_model.")
    def vision(self, config, preprocessor): return Vision(...)
"""

from .blocks import (
    CLIP_LINEARS,
    DECODER_LINEARS,
    Shapes,
    clip_tower,
    completed,
    decoder,
    linear,
    normed,
    original_llava,
    siglip_tower,
)
from .experts import EXPERTS, Mixture, sparse_layers
from .internlm2 import internlm2_as_llama, llama_config
from .plain import PlainFamily
from .section import Section
from .servers import server
from .soundness import folder_problems, llava_processor_problems, processor_problems
from .templates import FLATTEN, LISTED, VICUNA

__all__ = [
    "CLIP_LINEARS",
    "DECODER_LINEARS",
    "EXPERTS",
    "FLATTEN",
    "LISTED",
    "VICUNA",
    "Mixture",
    "PlainFamily",
    "Section",
    "Shapes",
    "clip_tower",
    "completed",
    "decoder",
    "folder_problems",
    "internlm2_as_llama",
    "linear",
    "llama_config",
    "llava_processor_problems",
    "normed",
    "original_llava",
    "processor_problems",
    "server",
    "siglip_tower",
    "sparse_layers",
]
