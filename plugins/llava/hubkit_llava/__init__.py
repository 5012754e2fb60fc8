"""The LLaVA-1.5 model family in the layout of the llava-hf repositories: CLIP, a projector of two
linears, and a Llama, Mistral or Qwen2. `hubkit assemble` puts a base together from a language model
(InternLM2 too) and CLIP; XTuner's `iter_N.pth` and the folders of its `pth_to_hf` merge into it.
"""

from .family import LLaVA

__all__ = ["LLaVA"]
