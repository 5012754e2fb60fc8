"""Dropout whose mask is a function of what it falls on: no generator, and the same for every batch
layout.

An element's bit comes from a hash of (the token's key, the place in the model, the column). A
token's key comes from (seed, sample, position), so that neither batch size, packing, the number of
GPUs nor a resumed run changes a mask. Hashing is two 32-bit multiplications an element, where
torch's Philox generator takes ten rounds: it costs nothing beside the memory traffic, and the
backward pass hashes again. Left to itself torch's compiler (2.11 and 2.13) would keep the bits, a
byte each: 5 GB at 2B and batch 8.

The mixing function is the 32-bit one with constants 0x7feb352d and 0x846ca68b (Wellons,
"Prospecting for hash functions").
"""

from __future__ import annotations

from typing import Any

import torch

_GOLDEN = 0x9E3779B1 - 2**32
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - 2**32


def mixed(numbers: Any) -> Any:
    """A bijection of int32 in which every input bit changes each output bit with probability one
    half."""
    numbers = (numbers ^ ((numbers >> 16) & 0xFFFF)) * _FIRST
    numbers = (numbers ^ ((numbers >> 15) & 0x1FFFF)) * _SECOND
    return numbers ^ ((numbers >> 16) & 0xFFFF)


def token_keys(seed: int, sample: int, length: int) -> Any:
    """int32 (length,): one key for each position of sample number `sample` of the training."""
    start = mixed(torch.tensor([seed & 0x7FFFFFFF], dtype=torch.int32)) ^ (sample & 0x7FFFFFFF)
    return mixed(mixed(start) + torch.arange(length, dtype=torch.int32))


class Dropout(torch.nn.Module):
    """Each element becomes 0 with probability `rate` and else is divided by 1 - rate. `place`
    numbers the place in the model.

    Column numbers, threshold and factor are tensors on purpose. Compiled with dynamic shapes, a
    number that is computed from a shape is 64 bits wide on a GPU (torch 2.11): products then do not
    wrap, and half of the elements were dropped.
    """

    def __init__(self, rate: float, place: int, width: int, device: Any = None) -> None:
        super().__init__()
        constants = {
            "place": mixed(torch.tensor(place + 1, dtype=torch.int32)),
            "columns": torch.arange(width, dtype=torch.int32) * _GOLDEN,
            "threshold": torch.tensor(round(rate * 2**32) - 2**31, dtype=torch.int32),
            "factor": torch.tensor(1 / (1 - rate), dtype=torch.float32),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.to(device), persistent=False)

    def forward(self, values: Any, keys: Any) -> Any:
        """`values` (tokens, width), `keys` int32 (tokens,)."""
        from torch.utils.checkpoint import checkpoint

        kept = checkpoint(self._kept, keys, use_reentrant=False, preserve_rng_state=False)
        return torch.where(kept, values * self.factor, torch.zeros_like(values))

    def _kept(self, keys: Any) -> Any:
        return mixed((keys ^ self.place)[:, None] + self.columns) >= self.threshold
