"""The adapter formats that hubkit reads: one file a format in this folder, one row each in
`FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk.errors import UsageError

from .adapter import Adapter
from .extra_weights import check_all_read
from .internvl_lora import is_internvl, read_internvl
from .minigpt4 import is_minigpt4, read_minigpt4
from .names import SETTINGS
from .peft import is_peft, read_peft
from .xtuner import DEEPSPEED, is_xtuner, read_xtuner
from .xtuner_llava import is_llava, read_llava


@dataclass(frozen=True)
class AdapterFormat:
    """`holds` says whether a file or folder is of this format, `read` opens it."""

    name: str
    holds: Callable[[Path], bool]
    read: Callable[[Path], Adapter]


FORMATS = (
    AdapterFormat("peft", is_peft, read_peft),
    AdapterFormat("minigpt4", is_minigpt4, read_minigpt4),
    AdapterFormat("xtuner", is_xtuner, read_xtuner),
    AdapterFormat("xtuner_llava", is_llava, read_llava),
    AdapterFormat("internvl_lora", is_internvl, read_internvl),
)
"""In the order in which a path is tried: XTuner's is any other file, InternVL's own a whole model
folder."""


def format_of(path: Path) -> AdapterFormat:
    """The format of the adapter at `path`.

    Raises:
        UsageError: it is none that hubkit knows.
    """
    for one in FORMATS:
        if one.holds(path):
            return one
    if not path.exists():
        raise UsageError(f"{path} does not exist", "check the path of the adapter")
    raise UsageError(
        f"{path} is no adapter: it has neither {SETTINGS} nor {DEEPSPEED}",
        "give the folder that peft's save_pretrained wrote, or xtuner's iter_N.pth",
    )


def read_adapter(path: Path) -> Adapter:
    """Opens a PEFT folder, MiniGPT-4's projection (a file), xtuner's `iter_N.pth` (a file, or
    DeepSpeed's folder), the folder that its `pth_to_hf` makes of a LLaVA, or InternVL's own LoRA
    folder.

    The adapter's `source` is to be closed.

    Raises:
        UsageError: `path` is none of these.
        WeightsError: it does not hold together, holds what hubkit cannot merge, or weights lie
            beside it that nobody reads.
    """
    adapter = format_of(path).read(path)
    try:
        if path.is_dir():
            check_all_read(path, adapter.source.shards.keys())
    except BaseException:
        adapter.source.close()
        raise
    return adapter
