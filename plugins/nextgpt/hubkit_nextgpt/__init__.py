"""NExT-GPT: its training in three stages, the caption embeddings of the second, and its delta as a
release.

    python -m hubkit_nextgpt captions --kind image --captions cc3m.json --model SD_FOLDER --out
    embed/
    python -m hubkit_nextgpt train options.json --out run/          the trainer's options as JSON
    python -m hubkit_nextgpt pack run/checkpoint --base VICUNA --licenses licenses.json --out NExT-GPT-Mine/
    hubkit card NExT-GPT-Mine --base-name lmsys/vicuna-7b-v1.5 --license cc-by-nc-sa-4.0
    hubkit track NExT-GPT-Mine; hubkit push NExT-GPT-Mine --to ...; hubkit verify NExT-GPT-Mine --at ...
    python -m hubkit_nextgpt restore NExT-GPT-Mine --base VICUNA --out ckpt/
    python -m hubkit_nextgpt demo options.json --checkpoint ckpt/

The same as functions: `precompute`, `run_stages`, `pack`, `restore`, `demo`. Of the current code,
the demo (predict.py) takes the whole model that the checkout's merge_lora_weights.py makes of what
`restore` wrote.

Both codes train the whole of embed_tokens and lm_head in the stages that tune a projection (the
legacy code with weight decay, which reaches every row). A stage's report counts the rows of the
base's own vocabulary that changed. The delta keeps them, since the model is another without them:
it is small when training left them alone.

In the current code on GitHub stage 3 trains nothing: `train.py` freezes the model after it added
the LoRA. Such a stage is ended before it trains, and the message says what to fix.
"""  # noqa: E501

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .captions import precompute
    from .delta import pack
    from .family import NextGPT
    from .launch import demo
    from .restoring import restore
    from .stages import run_stages
    from .trainer import NextGPTTrainer

__all__ = ["NextGPT", "NextGPTTrainer", "demo", "pack", "precompute", "restore", "run_stages"]

_HOMES = {
    "NextGPT": "family",
    "NextGPTTrainer": "trainer",
    "demo": "launch",
    "pack": "delta",
    "precompute": "captions",
    "restore": "restoring",
    "run_stages": "stages",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
