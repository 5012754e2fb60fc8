"""The fast way to train a LoRA on a Llama-like language model that sees: the same function as
transformers' and PEFT's modules, over their own parameters, arranged for the hardware.

    dropout    masks that are hashed, not drawn
    lora       linears over one input, and their LoRAs, as joint products
    attention  many samples in one row; the fastest kernel for the shape
    decoder    the layers, compiled around attention; the last one only where an answer is
    vision     InternVL's frozen ViT, fused; bytes to features
    blocks     Qwen-VL's ViT: all windows at once
    loss       logits at answer tokens only
    program    InternVL, whose pictures hubkit tiles
    arranged   models whose own processors arrange their pictures
"""

from .arranged import Arranged
from .program import Fast

__all__ = ["Arranged", "Fast"]
