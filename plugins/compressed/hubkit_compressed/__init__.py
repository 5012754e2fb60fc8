"""Weights in 8 or 4 bits for vLLM and transformers, quantised by llm-compressor in the format of
compressed-tensors.

Only the linear layers of the language model's decoder are quantised: vision tower, projector,
embedding and head stay as they are. Scales come from the weights alone, so no data are needed:
`fp8` has a scale for each output and quantises activations token by token, as `w8a8` does with
integers; `w4a16` rounds weights in groups to 4 bits and leaves activations alone. The folder is in
transformers' own layout, as `convert --to hf` writes it. The whole model is in memory meanwhile."""

from .exporter import CompressedExporter

__all__ = ["CompressedExporter"]
