"""A merge against PEFT's own live adapter, for any family whose layout is transformers' own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import ModelFamily
from hubkit.weights.merge import merge
from hubkit.weights.model import Model


def check_merge(
    folder: Path,
    model: Any,
    family: ModelFamily,
    config: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> None:
    """Random LoRAs on all linears of the family's groups; the merged folder, loaded by
    transformers, gives PEFT's live logits."""
    import torch
    from peft import LoraConfig, get_peft_model

    settings, kind, layout = model.config, type(model), family.layout(config)
    groups = family.native(config).groups.values()
    model.save_pretrained(folder / "base")
    _publish(folder / "base", layout, config)
    linears = [
        name
        for name, module in model.named_modules()
        for group in groups
        if isinstance(module, torch.nn.Linear)
        and name.startswith(f"{group.prefix}.")
        and name.split(".")[-1] in group.linears
    ]
    torch.manual_seed(8)
    live = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=4, target_modules=linears, init_lora_weights=False)
    ).eval()
    live.save_pretrained(folder / "adapter")
    report = merge(Model.of(folder / "base", family), folder / "adapter", folder / "out")
    assert report.merged == len(linears)
    (folder / "out" / "config.json").write_text(json.dumps(settings.to_dict()), "utf-8")
    loaded, info = kind.from_pretrained(
        folder / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info
    with torch.no_grad():
        wanted, got = live(**inputs).logits, loaded.eval()(**inputs).logits
        with live.disable_adapter():
            plain = live(**inputs).logits
    assert (wanted - plain).abs().max() > 1e-3
    assert (wanted - got).abs().max() < 1e-5


def _publish(base: Path, layout: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Under the published names, with the companion files that a merge carries."""
    from safetensors.torch import load_file, save_file

    weights = load_file(base / "model.safetensors")
    names = {
        name: name
        if name in layout
        else name.replace("vision_tower.", "vision_tower.vision_model.", 1)
        for name in weights
    }
    save_file(
        {names[name]: tensor for name, tensor in weights.items()},
        base / "model.safetensors",
        {"format": "pt"},
    )
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    names = ("tokenizer_config.json", "tokenizer.json", "generation_config.json")
    for name in (*names, "preprocessor_config.json"):
        (base / name).write_text("{}", "utf-8")
