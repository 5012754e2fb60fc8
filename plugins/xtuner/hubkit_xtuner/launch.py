"""`python -m hubkit_xtuner.launch CONFIG ...`: xtuner's training module, made to run here.
Arguments are those of `xtuner train`.

- Without a GPU torchvision's operators are declared, and there is a process group of one: xtuner
  asks for its rank.
- A folder without code is read by hubkit's own modules.
- With the folder's own code, the attention that xtuner forces (flash_attention_2) is replaced by
  one that is installed.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any


def main() -> None:
    from .torchvision_ops import define_if_missing

    define_if_missing()
    import torch

    if not torch.cuda.is_available():
        _process_group()
    attention = os.environ.get("HUBKIT_XTUNER_ATTENTION", "auto")
    if os.environ.get("HUBKIT_XTUNER_CODE") == "remote":
        _attention(attention)
    else:
        from .modeling import register

        register("eager" if attention == "eager" else "sdpa")
    from xtuner.tools.train import main as train

    train()


def _process_group() -> None:
    import torch.distributed

    with tempfile.NamedTemporaryFile(prefix="hubkit-group-", delete=False) as file:
        pass
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{file.name}", rank=0, world_size=1
    )


def _attention(wanted: str) -> None:
    """xtuner's constructor sets the attention after all settings were read; AutoModel is the next
    thing that it calls."""
    from transformers import AutoModel
    from xtuner.model import internvl

    name = wanted if wanted != "auto" else _installed()

    class Chosen(AutoModel):
        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            llm = kwargs["config"].llm_config
            llm.attn_implementation = llm._attn_implementation = name
            return AutoModel.from_pretrained(*args, **kwargs)

    internvl.AutoModel = Chosen


def _installed() -> str:
    """InternLM2's own code knows eager and flash_attention_2."""
    from importlib.util import find_spec

    import torch

    return "flash_attention_2" if find_spec("flash_attn") and torch.cuda.is_available() else "eager"


if __name__ == "__main__":
    main()
