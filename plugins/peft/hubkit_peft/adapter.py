"""The adapter folder, as PEFT writes it, without anything that varies between machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "adapter"


def write(model: Any, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors.

    Keys are `base_model.model.<module>.lora_A.weight`, `.lora_B.weight`, and plain parameter names
    for modules trained whole, which adapter_config.json lists under `modules_to_save`. PEFT's
    README.md is left out: it is a template to fill in.
    """
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["base_model_name_or_path"] = None
    settings["target_modules"] = sorted(_adapted(model)) or settings["target_modules"]
    settings["target_parameters"] = sorted(settings["target_parameters"] or []) or None
    settings["modules_to_save"] = sorted(settings["modules_to_save"] or []) or None
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _adapted(model: Any) -> Iterator[str]:
    """Full names: PEFT shortens a long list to common endings, through sets whose order varies
    between processes. Wrappers of parameters are none of them."""
    return (
        name
        for name, module in model.get_base_model().named_modules()
        if hasattr(module, "lora_A") and not hasattr(module, "parameter_name")
    )
