"""A merge against PEFT's own live adapter, for any family whose layout is transformers' own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import ModelFamily
from hubkit.weights.check import check
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


def check_merged_weights(model: Model, place: Path) -> Path:
    """Random LoRAs on all linears of the language model and of the tower, the projector trained
    whole: merged into the published folder, they give the numbers of PEFT's merge_and_unload when
    transformers loads it. The adapter's folder."""
    import torch
    from peft import LoraConfig, get_peft_model

    base, groups = loaded(model.folder), model.family.native(model.config).groups
    linears = [
        f"{groups[key].prefix}.{name}"
        for key in ("llm", "vit")
        for name, module in base.get_submodule(groups[key].prefix).named_modules()
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in groups[key].linears
    ]
    torch.manual_seed(8)
    settings = LoraConfig(
        **{"r": 2, "lora_alpha": 4, "init_lora_weights": False},
        target_modules=linears,
        modules_to_save=[groups["projector"].prefix],
    )
    live = get_peft_model(base, settings)
    for name, parameter in live.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    live.save_pretrained(place / "adapter")
    report = merge(model, place / "adapter", place / "merged")
    assert report.merged == len(linears) and report.replaced >= 1
    assert check(place / "merged", model.family) == ()
    wanted = live.merge_and_unload().state_dict()
    got = loaded(place / "merged").state_dict()
    assert wanted.keys() == got.keys()
    assert max((wanted[name] - got[name]).abs().max().item() for name in got) < 1e-6
    return place / "adapter"


def loaded(folder: Path) -> Any:
    """The folder in float32, with nothing missing and nothing left over."""
    import torch
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info
    return model.eval()


def check_shapes(family: ModelFamily, config: Mapping[str, Any]) -> None:
    """Names and shapes in memory are those of transformers' own class, and so are the published
    names, or they are what the family knows as another spelling of them."""
    from hubkit_transformers_models.outlining import outline

    layout, saved = family.layout(config), {one.held: one for one in outline(config, ()).tensors}
    held = {one.name: one.source for one in family.native(config).tensors}
    assert {name: layout[source] for name, source in held.items()} == {
        name: one.shape for name, one in saved.items()
    }
    spellings = getattr(family, "spellings", ())
    for name, source in held.items():
        others = {
            other + source.removeprefix(ours)
            for ours, other in spellings
            if source.startswith(ours)
        }
        assert saved[name].name in {source, *others}


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


def check_experts_merge(model: Model, native: Path, place: Path, **settings: Any) -> Path:
    """Random LoRAs on what `settings` say, as peft trains them on the folder `native` of the same
    model: merged into `model` they give the numbers of PEFT's merge_and_unload, and of its live
    adapter. The adapter's folder."""
    import torch
    from peft import LoraConfig, get_peft_model

    base, ids = loaded(native), torch.arange(3, 19)[None]
    torch.manual_seed(8)
    live = get_peft_model(
        base, LoraConfig(r=2, lora_alpha=6, init_lora_weights=False, **settings)
    ).eval()
    live.save_pretrained(place / "adapter")
    merge(model, place / "adapter", place / "merged")
    assert check(place / "merged", model.family) == ()
    merged = loaded(_as_native(model, place))
    with torch.no_grad():
        wanted, got = live(input_ids=ids).logits, merged(input_ids=ids).logits
        with live.disable_adapter():
            assert (live(input_ids=ids).logits - wanted).abs().max() > 1e-3
    assert (wanted - got).abs().max() < 1e-5
    whole, own = live.merge_and_unload().state_dict(), merged.state_dict()
    assert max((whole[name] - own[name]).abs().max().item() for name in own) < 1e-6
    return place / "adapter"


def _as_native(model: Model, place: Path) -> Path:
    """The merged folder, converted where transformers does not load it as it is."""
    from hubkit.sdk import SilentRun
    from hubkit.weights.convert import native_view

    return native_view(Model.of(place / "merged", model.family), place / "native", SilentRun())
