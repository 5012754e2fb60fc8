"""The adapter folder, as PEFT writes it, without anything that varies between machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = "adapter"


def write(model: Any, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors.

    Keys are `base_model.model.<module>.lora_A.weight`, `.lora_B.weight`, and plain parameter names for modules trained whole,
    which adapter_config.json lists under `modules_to_save`. PEFT's README.md is left out: it is a template to fill in.
    """
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["base_model_name_or_path"] = None
    for key in ("target_modules", "modules_to_save"):
        if isinstance(settings.get(key), list):
            settings[key] = sorted(settings[key])
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
