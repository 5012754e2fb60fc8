"""Checkpoints of torch.save: read where they lie, without running anything."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.adapters.xtuner import lora_settings, read_xtuner
from hubkit.weights.merge import merge
from hubkit.weights.model import Model
from hubkit.weights.torchfile import read_torch
from hubkit.weights.unpickle import StoredTensor, unpickle

Tensors = dict[str, torch.Tensor]
CFG = """accumulative_counts = 2
custom_hooks = [dict(tokenizer=dict(type='transformers.AutoTokenizer.from_pretrained'), type='hooks.DatasetInfoHook')]
model = dict(
    freeze_llm=True,
    llm_lora=dict(lora_alpha=6, lora_dropout=0.05, r=4, target_modules=None, task_type='CAUSAL_LM', type='peft.LoraConfig'),
    model_path='/data/InternVL2-2B',
    type='xtuner.model.InternVL_V1_5')
work_dir = None
"""  # noqa: E501
AT = "model.language_model.base_model.model.model.layers"


@pytest.fixture
def history(monkeypatch: Any) -> type:
    """A stand-in for mmengine's HistoryBuffer, under its name, so that pickles name it."""

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history = np.array([1.0, 2.0])
            self._count_history = np.array([1, 2])
            self._statistics_methods = {"min": HistoryBuffer.min}

        def min(self) -> None: ...

    HistoryBuffer.min.__module__, HistoryBuffer.min.__qualname__ = (
        "mmengine.logging.history_buffer",
        "HistoryBuffer.min",
    )
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = (
        "mmengine.logging.history_buffer",
        "HistoryBuffer",
    )
    module = types.ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return HistoryBuffer


def state() -> Tensors:
    generator = torch.Generator().manual_seed(4)
    shapes = {
        f"{AT}.0.attention.wqkv.lora_A.default.weight": (4, 32),
        f"{AT}.0.attention.wqkv.lora_B.default.weight": (64, 4),
        f"{AT}.1.feed_forward.w2.lora_A.default.weight": (4, 48),
        f"{AT}.1.feed_forward.w2.lora_B.default.weight": (32, 4),
        "model.language_model.base_model.model.output.lora_A.default.weight": (4, 32),
        "model.language_model.base_model.model.output.lora_B.default.weight": (64, 4),
        "model.mlp1.0.weight": (32,),
        "model.mlp1.0.bias": (32,),
        "model.mlp1.1.weight": (32, 32),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def pth(tmp_path: Path, history: type) -> Callable[..., Path]:
    def write(tensors: Tensors, name: str = "iter_64.pth", **more: Any) -> Path:
        scalars = collections.OrderedDict(loss=history())
        hub = {"log_scalars": scalars, "runtime_info": {"lr": np.float64(3e-5)}, "resumed_keys": {}}
        meta = {"cfg": CFG, "epoch": 0, "iter": 64, "seed": 1, "dataset_meta": None}
        ordered = collections.OrderedDict(tensors)
        ordered._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
        torch.save(
            {
                "meta": meta,
                "state_dict": ordered,
                "message_hub": hub,
                "param_schedulers": [],
                **more,
            },
            tmp_path / name,
        )
        return tmp_path / name

    return write


def by_xtuners_rule(base: Tensors, tensors: Tensors) -> Tensors:
    """`W + (B.bf16 @ A.bf16) * (alpha / r)`, and mlp1 replaced."""
    out = dict(base)
    for official, key in {
        "language_model.model.layers.0.attention.wqkv.weight": f"{AT}.0.attention.wqkv",
        "language_model.model.layers.1.feed_forward.w2.weight": f"{AT}.1.feed_forward.w2",
        "language_model.output.weight": "model.language_model.base_model.model.output",
    }.items():
        a, b = (tensors[f"{key}.lora_{part}.default.weight"].bfloat16() for part in "AB")
        out[official] = base[official] + (b @ a) * (6 / 4)
    for part in ("0.weight", "0.bias", "1.weight"):
        out[f"mlp1.{part}"] = tensors[f"model.mlp1.{part}"].bfloat16()
    return out


def test_xtuner_merges_by_its_own_rule_to_the_byte(
    make_base: Any, pth: Any, family: Any, tmp_path: Path
) -> None:
    base, tensors = make_base(), state()
    report = merge(Model.of(base, family), pth(tensors), tmp_path / "out", rounding="xtuner")
    found, expected = (
        load_file(tmp_path / "out/model.safetensors"),
        by_xtuners_rule(load_file(base / "model.safetensors"), tensors),
    )
    assert found.keys() == expected.keys() and all(
        torch.equal(found[name], t) for name, t in expected.items()
    )
    assert (report.merged, report.replaced, report.adapter_keys) == (3, 3, 9)


def test_deepspeeds_folder_is_the_same_adapter(
    make_base: Any, pth: Any, family: Any, tmp_path: Path, history: type
) -> None:
    folder = tmp_path / "deep/iter_64.pth"
    folder.mkdir(parents=True)
    torch.save(
        {
            "module": collections.OrderedDict(state()),
            "meta": {"cfg": CFG},
            "param_shapes": torch.Size([3]),
            "log": history(),
        },
        folder / "mp_rank_00_model_states.pt",
    )
    one = merge(Model.of(make_base(), family), pth(state()), tmp_path / "a")
    two = merge(Model.of(tmp_path / "base", family), folder, tmp_path / "b")
    assert one.files == two.files


def test_a_split_deepspeed_folder_is_named(tmp_path: Path) -> None:
    for name in ("mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsError, match="mp_rank_01_model_states"):
        read_xtuner(tmp_path)


def test_tensors_lie_where_torch_put_them(tmp_path: Path) -> None:
    whole = torch.arange(24, dtype=torch.float32).view(4, 6)
    data = {
        "whole": whole,
        "tail": whole[2:],
        "none": torch.zeros(0, 3),
        "scalar": torch.tensor(7, dtype=torch.int64),
        "half": torch.randn(3).half(),
        "brain": torch.nn.Parameter(torch.randn(2, 2).bfloat16()),
        "row": whole[1:2, 2:5],
    }
    torch.save(data, tmp_path / "x.pt")
    file = read_torch(tmp_path / "x.pt")
    with file.open(file.data) as source:
        for name, tensor in data.items():
            assert torch.equal(source.load(name), tensor) and torch.equal(
                source.tensor(name), tensor
            ), name


def test_a_transposed_view_is_named(tmp_path: Path) -> None:
    torch.save({"turned": torch.zeros(3, 4).T}, tmp_path / "x.pt")
    file = read_torch(tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="'turned' is a view"):
        file.open(file.data)


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Attack(os.system, "touch PWNED"), "system"),
        (Attack(eval, "open('PWNED', 'w')"), "eval"),
        (Attack(__import__, "os"), "__import__"),
        (Attack(torch.load, "x"), "torch.serialization.load"),
        (Attack(io.open, "PWNED", "w"), "open"),
        (Attack(np.fromfile, "x"), "numpy.fromfile"),
    ],
)
def test_nothing_in_a_pickle_is_run(
    make_base: Any,
    pth: Any,
    family: Any,
    tmp_path: Path,
    monkeypatch: Any,
    attack: Attack,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path, base = pth(state(), optimizer=attack), make_base()
    before = sorted(found.name for found in tmp_path.iterdir())
    with pytest.raises(WeightsError, match="nothing was run") as caught:
        merge(Model.of(base, family), path, tmp_path / "out")
    assert (
        named in caught.value.message
        and sorted(found.name for found in tmp_path.iterdir()) == before
    )


def test_a_pickle_cannot_change_the_reader(history: type) -> None:
    """BUILD with a slot state sets attributes on whatever is on the stack: the reader's own
    callables refuse it."""
    program = b"ctorch._utils\n_rebuild_tensor_v2\n" + b"N}X\x08\x00\x00\x00__code__K\x01s\x86b."
    with pytest.raises(WeightsError, match="changes a function"):
        unpickle(io.BytesIO(program), "x.pth")
    program = (
        b"cmmengine.logging.history_buffer\nHistoryBuffer\n"
        + b"N}X\x05\x00\x00\x00smallK\x01s\x86b."
    )
    with pytest.raises(WeightsError, match="not a sound pickle"):
        unpickle(io.BytesIO(program), "x.pth")
    with pytest.raises(WeightsError, match="not a sound pickle"):
        unpickle(io.BytesIO(b"\x80\x02}r\xff\xff\xff\x7f"), "x.pth")
    assert unpickle(io.BytesIO(pickle.dumps({"a": [1, (2.5, "x", None, True)]})), "x") == {
        "a": [1, (2.5, "x", None, True)]
    }


def test_damaged_pickles_are_refused_or_inert(pth: Any) -> None:
    with zipfile.ZipFile(pth(state())) as archive:
        content = archive.read("iter_64/data.pkl")
    dice = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            unpickle(io.BytesIO(bytes(damaged[: dice.randint(1, len(damaged))])), "x.pth")
        except WeightsError as error:
            assert error.message.startswith("x.pth")


def refused(words: str, path: Path, make_base: Any, family: Any, tmp_path: Path) -> None:
    with pytest.raises((WeightsError, UsageError)) as caught:
        merge(Model.of(make_base(), family), path, tmp_path / "out")
    assert (
        words in str(caught.value)
        and not (tmp_path / "out").exists()
        and not (tmp_path / ".out.partial").exists()
    )


def test_an_empty_file(make_base: Any, family: Any, tmp_path: Path) -> None:
    (tmp_path / "iter_1.pth").write_bytes(b"")
    refused("it is empty", tmp_path / "iter_1.pth", make_base, family, tmp_path)


def test_an_empty_state(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    refused("holds no tensors", pth({}), make_base, family, tmp_path)


def test_renamed_keys(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    renamed = {name.replace("wqkv", "qkv"): tensor for name, tensor in state().items()}
    refused("layers.0.attention.qkv", pth(renamed), make_base, family, tmp_path)


def test_what_is_no_tensor(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    odd: Any = {**state(), "step": 3}
    refused("'step' is not a tensor", pth(odd), make_base, family, tmp_path)


def test_a_lora_without_settings(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    """CFG trains the language model alone."""
    layer = "model.vision_model.base_model.model.encoder.layers.0.mlp.fc1.lora_"
    more = {
        f"{layer}A.default.weight": torch.ones(4, 32),
        f"{layer}B.default.weight": torch.ones(32, 4),
    }
    words = "nothing says the rank and alpha of 'vision_model.encoder.layers.0.mlp.fc1'"
    refused(words, pth({**state(), **more}), make_base, family, tmp_path)


def test_half_of_a_lora(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    half = {name: tensor for name, tensor in state().items() if "output.lora_B" not in name}
    refused("has the parts A", pth(half), make_base, family, tmp_path)


def test_no_state_dict_and_no_configuration(
    make_base: Any, family: Any, tmp_path: Path, pth: Any
) -> None:
    refused("has no state_dict", pth(state(), state_dict=None), make_base, family, tmp_path)
    path = pth(state(), meta={"epoch": 1})
    with pytest.raises(WeightsError, match="meta\\['cfg'\\] is missing"):
        read_xtuner(path)


def test_a_truncated_archive(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    path = pth(state())
    os.truncate(path, path.stat().st_size - 30)
    refused("is not a file of torch.save", path, make_base, family, tmp_path)


def test_a_record_shorter_than_its_tensor(
    make_base: Any, family: Any, tmp_path: Path, pth: Any
) -> None:
    with zipfile.ZipFile(pth(state())) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "short.pth", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data[:4] if name.endswith("data/0") else data)
    refused(
        "reaches beyond its record of 4 bytes", tmp_path / "short.pth", make_base, family, tmp_path
    )


def test_a_compressed_record(make_base: Any, family: Any, tmp_path: Path, pth: Any) -> None:
    with zipfile.ZipFile(pth(state())) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    refused("is compressed or damaged", tmp_path / "small.pth", make_base, family, tmp_path)


def test_settings_are_parsed_and_not_run(tmp_path: Path) -> None:
    text = (
        CFG
        + f"x = open({str(tmp_path / 'PWNED')!r}, 'w')\nvisual = __import__('os').system('true')\n"
    )
    text = text.replace(
        "freeze_llm=True", "visual_encoder_lora=dict(r=64, lora_alpha=16), freeze_llm=print('x')"
    )
    found = lora_settings(text, "x.pth")
    assert {prefix: (own.rank, own.alpha) for prefix, own in found.items()} == {
        "language_model.": (4, 6),
        **dict.fromkeys(("vision_model.", "vision_tower."), (64, 16)),
    }
    assert list(tmp_path.iterdir()) == []
    for bad in ("model = 3", "model = dict(", "", None, "x" * 5_000_000, "model = " + "(" * 5000):
        with pytest.raises(WeightsError, match="meta\\['cfg'\\]"):
            lora_settings(bad, "x.pth")
    with pytest.raises(WeightsError, match="use_qalora"):
        lora_settings("model = dict(llm_lora=dict(use_qalora=True))", "x.pth")


def test_a_checkpoint_that_mmengine_itself_saved() -> None:
    """Written by mmengine 0.10.6's save_checkpoint with its MessageHub: log buffers, numpy scalars,
    the configuration."""
    file = read_torch(Path(__file__).parent / "data/mmengine_0_10_6.pth")
    assert file.data.keys() == {"meta", "state_dict", "message_hub", "param_schedulers"}
    assert file.data["message_hub"]["runtime_info"]["iter"] == 9
    settings = lora_settings(file.data["meta"]["cfg"], "x")["language_model."]
    assert (settings.rank, settings.alpha) == (128, 256)
    with file.open(file.data["state_dict"]) as source:
        assert source.load("model.mlp1.0.weight").tolist() == [0, 0, 0]


def test_stored_tensors_are_no_tensors(pth: Any) -> None:
    data = read_torch(pth(state())).data
    assert (
        isinstance(data["state_dict"]["model.mlp1.0.weight"], StoredTensor)
        and data["meta"]["iter"] == 64
    )
