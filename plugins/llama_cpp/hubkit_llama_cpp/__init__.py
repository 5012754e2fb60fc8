"""llama.cpp, by the wheel of xllamacpp: answers and serves a folder with a GGUF model and its
mmproj, as `hubkit export --exporter gguf` writes it. Needs no GPU."""

from .engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
