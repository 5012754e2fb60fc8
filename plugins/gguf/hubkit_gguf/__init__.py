"""GGUF for llama.cpp and Ollama: the language model in one file, the vision tower and the projector
in another (`mmproj`), and a Modelfile. Written are InternVL and Qwen2.5-VL.

InternVL's language models are Llama (InternLM2 is one with its rows in another order), Qwen2 and
Qwen3. The position of InternViT's class token is written last: llama.cpp puts that token after the
patches (`clip_graph_internvl`), and files that keep the official order give each patch its
neighbour's position. llama.cpp cuts a picture larger than one tile by a rule of its own, not
InternVL's, so answers about such pictures may differ; the scores on the held-out records show by
how much. Of Qwen2.5-VL it makes pictures of fewer than 8 positions (6,272 pixels) larger."""

from .exporter import GgufExporter

__all__ = ["GgufExporter"]
