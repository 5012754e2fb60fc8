"""Frozen weights in equal shares over the GPUs, by torch's FSDP2: a layer is gathered when it is
reached, forward and backward, and let go behind it. What is trained stays whole on every GPU and is
no business of FSDP's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hubkit.sdk import EnvironmentFailure

from .gang import Gang

Share = Callable[[Any], None]


def sharing(gang: Gang, device: str) -> Share:
    """A function that leaves this process its share of a layer's frozen weights, on `device`; given
    a module of such layers, it lets their gathering overlap.

    Raises:
        EnvironmentFailure: torch is too old.
    """
    import torch.distributed as dist

    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError:
        raise EnvironmentFailure(
            "shard needs fully_shard of torch", "install torch 2.6 or newer, or set shard: never"
        ) from None
    if not dist.is_initialized():
        dist.init_process_group(
            "nccl" if device == "cuda" else "gloo", store=dist.HashStore(), rank=0, world_size=1
        )
    mesh = dist.init_device_mesh(device, (gang.size,))

    def share(module: Any) -> None:
        shared = {parameter for parameter in module.parameters() if is_share(parameter)}
        whole = {
            parameter for parameter in module.parameters() if parameter.requires_grad or shared
        }
        fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=whole)

    return share


def share_all(root: Any, layers: Iterable[Any], share: Share) -> None:
    """Gives `share` each of the layers, then what holds them."""
    for layer in layers:
        share(layer)
    share(root)


def release(layers: Iterable[Any], *names: str) -> None:
    """Frees the layers' own tensors, when a joint one has taken their place."""
    for layer in layers:
        for name in names:
            if getattr(layer, name) is not None:
                getattr(layer, name).data = getattr(layer, name).new_empty(0)


def place_rest(model: Any, device: str) -> None:
    """Moves what is not shared to `device`."""
    for tensor in (*model.parameters(), *model.buffers()):
        if not is_share(tensor):
            tensor.data = tensor.data.to(device)


def is_share(tensor: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
