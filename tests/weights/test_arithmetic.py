"""What is measured of the numbers that a merge reads and writes."""

from __future__ import annotations

import math

import pytest
import torch

from hubkit.weights.arithmetic import largest_of


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_largest_is_found_whatever_its_sign(dtype: torch.dtype) -> None:
    values = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert largest_of(values) == values.abs().max().item()
    assert largest_of(values[3:5, ::2]) == values[3:5, ::2].abs().max().item()
    assert largest_of(torch.zeros(2, dtype=dtype)) == largest_of(-torch.zeros(2, dtype=dtype)) == 0
    values[2, 3] = -math.inf
    assert largest_of(values) == math.inf
    for nan in (math.nan, -math.nan):
        values[5, 1] = nan
        assert math.isnan(largest_of(values))
