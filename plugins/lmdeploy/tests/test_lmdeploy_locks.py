"""The locked environments: one for each Python, each with what the engine requires."""

from __future__ import annotations

import pytest
from hubkit_lmdeploy import LmdeployEngine

from hubkit.environments.locks import folder, read_locks, read_source

LOCKS = {lock.python: lock for lock in read_locks(LmdeployEngine())}


def test_there_is_one_for_each_python():
    assert sorted(LOCKS) == ["3.10", "3.11", "3.12"]
    assert {(lock.variant, lock.platform) for lock in LOCKS.values()} == {("cu12", "linux_x86_64")}


@pytest.mark.parametrize("python", sorted(LOCKS))
def test_it_is_complete_and_of_one_cuda(python: str):
    versions = LOCKS[python].versions
    newest = "5.20.2" if python == "3.10" else "5.23.0"
    assert (versions["lmdeploy"], versions["transformers"]) == ("0.18.0", newest)
    assert all(name in versions for name, _ in LmdeployEngine.requirements.modules)
    assert versions["torch"].split(".")[:2] == ["2", "10"], (
        "torch 2.11 and later is built for CUDA 13, TurboMind for CUDA 12"
    )
    assert {
        "nvidia-cublas-cu12",
        "nvidia-cuda-runtime-cu12",
        "nvidia-nccl-cu12",
        "nvidia-curand-cu12",
    } <= set(versions)
    assert not [name for name in versions if name.endswith("cu13")]
    assert versions["sentencepiece"] != "0.2.2", "it refuses InternLM2's tokenizer.model"
    assert {
        "fastapi",
        "uvicorn",
        "openai",
        "triton",
        "torchvision",
        "xgrammar",
        "tokenizers",
    } <= set(versions)


def test_the_source_asks_for_the_same():
    place = folder(LmdeployEngine())
    assert place is not None
    (group,) = read_source(place / "cu12.in.json").groups
    assert "lmdeploy==0.18.0" in group.packages
    pinned = {package.partition(";")[0] for package in group.packages}
    assert {f"transformers=={LOCKS[python].versions['transformers']}" for python in LOCKS} <= pinned
