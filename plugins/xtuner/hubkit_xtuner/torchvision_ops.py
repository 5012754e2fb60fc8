"""torchvision on a machine without CUDA.

The wheel of torchvision 0.28 registers `nms` from a library that needs CUDA; without it the package
fails as it is imported, and with it all that imports it (transformers, xtuner). Nothing in xtuner
calls these operators.
"""

from __future__ import annotations

from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[Any] = []


def define_if_missing() -> None:
    """Makes `import torchvision` work; does nothing where it works already, or is not installed."""
    import torch

    if _kept or torch.cuda.is_available():
        return
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _kept.append(library)
