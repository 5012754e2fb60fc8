"""The fast way to train a LoRA on an InternVL with a Llama-like language model: the same function
as transformers' and PEFT's modules, over their own parameters, arranged for the hardware.

    dropout    masks that are hashed, not drawn
    lora       linears over one input, and their LoRAs, as joint products
    attention  many samples in one row; the fastest kernel for the shape
    decoder    the layers, compiled around attention; the last one only where an answer is
    vision     the frozen ViT, fused; bytes to features
    loss       logits at answer tokens only
"""

from .program import Fast

__all__ = ["Fast"]
