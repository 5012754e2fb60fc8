"""A tiny operation in an environment: can it train with xtuner?"""

from __future__ import annotations

from hubkit.sdk import EnvironmentFailure


def check() -> None:
    """Imports the classes that a training names, multiplies on the device, and takes one optimizer
    step.

    Raises:
        EnvironmentFailure: xtuner lacks a package that it imports; 0.1.23 needs DeepSpeed even
            where it is not used.
    """
    from .torchvision_ops import define_if_missing

    define_if_missing()
    import torch

    try:
        import xtuner.tools.train  # noqa: F401
    except ModuleNotFoundError as error:
        raise EnvironmentFailure(
            f"xtuner needs {error.name}", f"pip install {error.name}"
        ) from None
    from mmengine.optim import OptimWrapper
    from xtuner.dataset import InternVL_V1_5_Dataset
    from xtuner.model import InternVL_V1_5

    from .config import shipped
    from .modeling import register

    register()
    shipped()
    if not issubclass(InternVL_V1_5, torch.nn.Module) or not issubclass(
        InternVL_V1_5_Dataset, torch.utils.data.Dataset
    ):
        raise RuntimeError("this xtuner has no InternVL classes")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.nn.Parameter(torch.ones(2, 2, device=device))
    OptimWrapper(torch.optim.SGD([weight], lr=0.5)).update_params(weight.sum())
    if not torch.equal(weight.detach().cpu(), torch.full((2, 2), 0.5)):
        raise RuntimeError(f"an optimizer step on {device} gave {weight.tolist()}")
    if device == "cuda":
        import deepspeed  # noqa: F401
