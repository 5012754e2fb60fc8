"""It asks a folder of GGUF files, and the check brings a folder of safetensors."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import Undriven


def case(folder: Path) -> Undriven:
    return Undriven(
        "it asks GGUF files: `hubkit export FOLDER OUT --exporter gguf`, then `hubkit smoke OUT "
        "--engine llama_cpp`"
    )
