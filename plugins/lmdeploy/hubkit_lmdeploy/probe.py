"""What a worker's interpreter must be able to do: LMDeploy has no CPU device."""

from __future__ import annotations

from hubkit.sdk import EnvironmentFailure


def gpu() -> None:
    """Raises EnvironmentFailure without a GPU, and torch's own error when the GPU cannot
    multiply."""
    import torch

    if not torch.cuda.is_available():
        raise EnvironmentFailure(
            f"LMDeploy needs an NVIDIA GPU, and torch {torch.__version__} sees none",
            "run it where there is one; a release file may say smoke: {fallback: transformers}",
        )
    ones = torch.ones(16, 16, device="cuda", dtype=torch.bfloat16)
    if float((ones @ ones).sum()) != 16**3:
        raise EnvironmentFailure(
            "the GPU multiplies wrongly", "check the driver, and that torch is built for this GPU"
        )
