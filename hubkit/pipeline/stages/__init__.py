"""The stages of a release, one file each: what it depends on, one call of a lower room, what it
says of its result."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..stage import Stage

PURPOSES = {
    "prepare": "read and check the dataset, split it",
    "train": "train the adapter",
    "merge": "merge the adapter into the base and write the official layout",
    "smoke": "the model must answer before anything is published",
    "evaluate": "measure the base and the model on the held-out records",
    "variants": "make further forms of the model and hold them to it",
    "package": "write the card and make the release folder with its Git LFS commit",
    "publish": "push the release to its hubs",
    "verify": "read the release back and prove it",
}
"""In their order."""


def stage_named(name: str) -> Stage[Any]:
    """Its module is imported when it is first asked for: whether a stage has to run for the first
    time can be told without."""
    stage: Stage[Any] = import_module(f".{name}", __name__).STAGE
    return stage
