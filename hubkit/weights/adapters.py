"""One way to open any adapter that hubkit takes."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.errors import UsageError

from .adapter import Adapter
from .internvl_lora import read_internvl
from .peft import read_peft
from .xtuner import DEEPSPEED, read_xtuner
from .xtuner_llava import is_llava, read_llava


def read_adapter(path: Path) -> Adapter:
    """Opens a PEFT folder, xtuner's `iter_N.pth` (a file, or DeepSpeed's folder), the folder that
    its `pth_to_hf` makes of a LLaVA, or InternVL's own LoRA folder.

    The adapter's `source` is to be closed.

    Raises:
        UsageError: `path` is none of these.
        WeightsError: it does not hold together, or holds what hubkit cannot merge.
    """
    if path.is_file():
        return read_xtuner(path)
    if (path / "adapter_config.json").exists():
        return read_peft(path)
    if (path / DEEPSPEED).exists():
        return read_xtuner(path)
    if is_llava(path):
        return read_llava(path)
    if (path / "config.json").exists():
        return read_internvl(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist", "check the path of the adapter")
    raise UsageError(
        f"{path} is no adapter: it has neither adapter_config.json nor {DEEPSPEED}",
        "give the folder that peft's save_pretrained wrote, or xtuner's iter_N.pth",
    )
