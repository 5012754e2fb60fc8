"""A merge against PEFT's own live adapter, for any family whose layout is transformers' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Merge = Callable[[Path, Path, Path], None]


@pytest.fixture
def peft_merge(tmp_path: Path) -> Callable[..., None]:
    def compare(model: Any, groups: Mapping[str, Any], layout: Mapping[str, Any], inputs: Any, merge: Merge) -> None:
        """PEFT puts random LoRAs on all linears of `groups`; the merged folder, loaded by transformers, gives its logits."""
        import torch
        from peft import LoraConfig, get_peft_model

        config, kind = model.config, type(model)
        base = tmp_path / "base"
        model.save_pretrained(base)
        _published(base, layout)
        linears = sorted(
            name
            for name, module in model.named_modules()
            for group in groups.values()
            if isinstance(module, torch.nn.Linear) and name.startswith(group.prefix + ".") and name.split(".")[-1] in group.linears
        )
        torch.manual_seed(8)
        live = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=linears, init_lora_weights=False)).eval()
        live.save_pretrained(tmp_path / "adapter")
        merge(base, tmp_path / "adapter", tmp_path / "out")
        (tmp_path / "out" / "config.json").write_text(json.dumps(config.to_dict()), "utf-8")
        loaded, info = kind.from_pretrained(tmp_path / "out", dtype=torch.float32, output_loading_info=True)
        assert not any(info.values()), info
        with torch.no_grad():
            wanted, got = live(**inputs).logits, loaded.eval()(**inputs).logits
            with live.disable_adapter():
                plain = live(**inputs).logits
        assert (wanted - plain).abs().max() > 1e-3
        assert (wanted - got).abs().max() < 1e-5

    return compare


def _published(base: Path, layout: Mapping[str, Any]) -> None:
    """Under the published names; and the companion files that a merge carries."""
    from safetensors.torch import load_file, save_file

    weights = load_file(base / "model.safetensors")
    named = {name if name in layout else name.replace("vision_tower.", "vision_tower.vision_model.", 1): t for name, t in weights.items()}
    save_file(named, base / "model.safetensors", {"format": "pt"})
    for name in ("tokenizer_config.json", "tokenizer.json", "generation_config.json"):
        (base / name).write_text("{}", "utf-8")
