"""What the training wrote, judged, and handed on as an `iter_N.pth` in which nothing varies between
two identical runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import PluginError
from hubkit.sdk.finite import check_trained

from .checkpoints import STATES, ZERO3

State = dict[str, Any]


def read(path: Path) -> State:
    """The trained tensors. This training's own file is read as torch reads any pickle: in this
    process, not in hubkit's.

    ZeRO-1 and ZeRO-2 keep whole parameters in one file, on any number of devices; ZeRO-3's are put
    together by DeepSpeed.
    """
    import torch

    if path.is_dir() and not (path / STATES).exists() and (path / ZERO3).exists():
        return _gathered(path)
    file = path / STATES if path.is_dir() else path
    data = torch.load(file, map_location="cpu", weights_only=False)
    return dict(data["module" if path.is_dir() else "state_dict"])


def _gathered(path: Path) -> State:
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    return dict(
        get_fp32_state_dict_from_zero_checkpoint(
            str(path.parent), tag=path.name, exclude_frozen_parameters=True
        )
    )


def judge(state: Mapping[str, Any], expected: int | None, seen: int) -> int:
    """How many parameters the checkpoint holds. `expected` follows from the configuration, `seen`
    is what xtuner trained.

    Raises:
        PluginError: nothing or something else was saved, a number is not finite, or no LoRA has
            moved from its start.
    """
    total = sum(int(tensor.numel()) for tensor in state.values())
    remedy = "see xtuner's log; train again with the versions of the locked environment"
    if not state:
        raise PluginError("xtuner wrote a checkpoint without tensors", remedy)
    for name, number in (("xtuner counted", seen), ("the configuration gives", expected)):
        if number is not None and number != total:
            raise PluginError(
                f"the checkpoint holds {total:,} parameters, {name} {number:,}", remedy
            )
    broken = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
    check_trained(broken, len(state))
    raised = [tensor for name, tensor in state.items() if ".lora_B." in name]
    if raised and not any(bool(tensor.any()) for tensor in raised):
        raise PluginError("every lora_B is zero: the training has changed nothing", remedy)
    return total


def write(state: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    """`state_dict` and `meta.cfg` as xtuner has them, the latter cut to what merging needs: rank,
    alpha and the like."""
    import torch

    tensors = {name: state[name].detach().clone().contiguous() for name in sorted(state)}
    torch.save({"meta": {"cfg": settings(config)}, "state_dict": tensors}, path)


def settings(config: Mapping[str, Any]) -> str:
    """`model = dict(...)` with the LoRA settings, as mmengine writes a configuration's text."""
    model = {
        key: config["model"][key]
        for key in ("type", "llm_lora", "visual_encoder_lora")
        if config["model"].get(key)
    }
    return f"model = {_text(model)}\n"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"dict({', '.join(f'{key}={_text(value[key])}' for key in sorted(value))})"
    return repr(value)
