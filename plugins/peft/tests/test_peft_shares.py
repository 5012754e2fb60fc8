"""Frozen weights in shares over two processes: nothing that is learnt changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer, several
from hubkit_peft.options import Options

from hubkit.sdk import SilentRun

pytest.importorskip("peft")


def same(one, other):
    names = ("metrics.jsonl", "adapter/adapter_model.safetensors", "adapter/adapter_config.json")
    return all(
        (one.output / name).read_bytes() == (other.output / name).read_bytes() for name in names
    )


@pytest.mark.integration
@pytest.mark.parametrize(
    "ways",
    [{"implementation": "auto"}, {"implementation": "plain"}, {"gradient_checkpointing": True}],
)
def test_two_processes_with_shares_end_in_the_same_bytes(job, ways):
    settings = {"steps": 3, "batch_size": 2, **ways}
    whole, shared = (
        job(name="whole", shard="never", **settings),
        job(name="shared", shard="always", **settings),
    )
    for each in (whole, shared):
        several.train(each, SilentRun(), 2)
    assert same(shared, whole)
    again = replace(shared, output=shared.output.with_name("again"))
    again.output.mkdir()
    several.train(again, SilentRun(), 2)
    assert same(again, whole)


@pytest.mark.parametrize("implementation", ["auto", "plain"])
def test_a_gang_of_one_with_shares_is_the_same(job, implementation):
    settings = {"steps": 3, "implementation": implementation, "validation": 2}
    whole, shared = job(name="whole", **settings), job(name="shared", shard="always", **settings)
    for each in (whole, shared):
        PeftTrainer().train(each, SilentRun())
    assert same(shared, whole)


def test_shares_of_few_bits_are_refused():
    with pytest.raises(ValueError, match="quantize and shard: always exclude each other"):
        Options(quantize="4bit", shard="always")
