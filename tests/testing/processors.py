"""What lies beside the weights of a model in transformers' own layout, and whether it loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import ModelFamily

from .projects import BASE

SIDE = 28
CLIP_PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "crop_size": {"height": SIDE, "width": SIDE},
    "size": {"shortest_edge": SIDE},
}


def write_tokenizer(folder: Path, *tokens: str) -> int:
    """The quickstart's tokenizer and generation settings with special `tokens` more; the id of the
    first."""
    data = json.loads((BASE / "tokenizer.json").read_text())
    settings = json.loads((BASE / "tokenizer_config.json").read_text())
    first = max(*data["model"]["vocab"].values(), *(one["id"] for one in data["added_tokens"])) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    for number, token in enumerate(tokens, first):
        data["added_tokens"].append({"id": number, "content": token, **flags, "special": True})
        own = {"content": token, **flags, "special": True}
        settings["added_tokens_decoder"][str(number)] = own
    write_json(folder, {"tokenizer.json": data, "tokenizer_config.json": settings})
    shutil.copy2(BASE / "generation_config.json", folder)
    return first


def write_json(folder: Path, files: Mapping[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def problems(family: ModelFamily, folder: Path) -> list[str]:
    """Where the family finds something, missing companions included."""
    config = json.loads((folder / "config.json").read_text())
    wanted = family.companions(config).required
    missing = [
        need for need in wanted if not any((folder / name).is_file() for name in need.split("|"))
    ]
    return missing + [problem.where for problem in family.check(folder, config)]


def positions(folder: Path, image: str) -> int:
    """How many tokens AutoProcessor makes of one picture; 0 when it cannot be loaded or used."""
    from PIL import Image
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder)
        inputs = processor(
            images=Image.new("RGB", (40, 30)), text=f"{image} a", return_tensors="pt"
        )
    except (OSError, TypeError, ValueError):
        return 0
    number = processor.tokenizer.convert_tokens_to_ids(image)
    return int((inputs["input_ids"] == number).sum())
