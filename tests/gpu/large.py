"""A base of InternVL2-2B's dimensions that can learn: random weights as a training would start
with, the quickstart's few words.

    python tests/gpu/large.py FOLDER

LMDeploy and trainers get true shapes, true ids of the special tokens, and a tokenizer without a
vocabulary of its own.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import hubkit
from hubkit.registry.plugins import plugins

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import merge

VOCABULARY = 92553
PICTURES = (
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
)
QUICKSTART = Path(hubkit.__file__).parent / "quickstart" / "base"


def make_large(folder: Path, size: str = "2B") -> Path:
    shutil.copytree(
        QUICKSTART, folder, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__")
    )
    config = merge.config(size)
    config["llm_config"]["model_type"], config["vision_config"]["model_type"] = (
        "internlm2",
        "intern_vit_6b",
    )
    config |= {"auto_map": _read(QUICKSTART / "config.json")["auto_map"], "min_dynamic_patch": 1}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    _write_weights(folder / "model.safetensors", plugins().get("family", "internvl").layout(config))
    _write_tokenizer(folder)
    stops = {"bos_token_id": 1, "eos_token_id": [2, 92542, 92543], "pad_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(stops), "utf-8")
    return folder


def _write_weights(path: Path, layout: Any) -> None:
    """Normal with a deviation of 0.02; norms and layer scales 1, biases 0."""
    import torch
    from safetensors.torch import save_file

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dice = torch.Generator(device).manual_seed(0)

    def tensor(name: str, shape: tuple[int, ...]) -> Any:
        if name.endswith(".bias"):
            return torch.zeros(shape, dtype=torch.bfloat16)
        if len(shape) == 1:
            return torch.ones(shape, dtype=torch.bfloat16)
        return (
            torch.empty(shape, dtype=torch.bfloat16, device=device)
            .normal_(0, 0.02, generator=dice)
            .cpu()
        )

    save_file(
        {name: tensor(name, tuple(shape)) for name, shape in layout.items()}, path, {"format": "pt"}
    )


def _write_tokenizer(folder: Path) -> None:
    """The words keep their ids; special tokens get InternLM2's, and nothing else fills the table
    up."""
    tokenizer = _read(QUICKSTART / "tokenizer.json")
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids |= {"<|im_start|>": 92543, "<|im_end|>": 92542}
    ids |= {token: 92544 + place for place, token in enumerate(PICTURES)}
    words = {
        word: number for word, number in tokenizer["model"]["vocab"].items() if word not in ids
    }
    taken = {*ids.values(), *words.values()}
    filling = {f"<filling{number}>": number for number in range(VOCABULARY) if number not in taken}
    tokenizer["model"]["vocab"] = {**words, **filling, **ids}
    for token in tokenizer["added_tokens"]:
        token["id"] = ids[token["content"]]
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    settings = _read(QUICKSTART / "tokenizer_config.json")
    known = {token["content"]: token for token in settings["added_tokens_decoder"].values()}
    settings["added_tokens_decoder"] = {str(ids[word]): token for word, token in known.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    make_large(Path(sys.argv[1]))
