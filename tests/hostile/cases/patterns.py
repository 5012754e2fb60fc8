"""Regular expressions of an adapter, and the text of XTuner's configuration."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import CHECK_ADAPTER, MERGE, Case, adapter, base, both

KIND = "patterns of adapters"

_SLOW = (
    "((.*)*)*X",
    "(.*)*X",
    "(a|a)*(.*)*(.*)*X",
    r"(\w+\.?)*X",
    r"([\w.]+)+=",
    "(.+)+(.+)+(.+)+X",
    "(?:(?:.*)*)*={9}",
    "((((.*)*)*)*)*Z",
)
_BROKEN = (
    "(",
    "[",
    "*",
    "(?P<a>",
    "a{99999999999}",
    "a{0,99999999999}b{99999999999}",
    "(?<!.*)x",
    "(" * 500,
)


def _settings(**settings: Any) -> Callable[[Path], None]:
    return lambda folder: both(folder, **settings)


def _checked(**settings: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        adapter(folder, **settings)

    return make


def _xtuner(text: Any) -> Callable[[Path], None]:
    """An iter_N.pth without tensors to speak of, and this text of its configuration."""

    def make(folder: Path) -> None:
        base(folder)
        at = "model.language_model.base_model.model.model.layers.0.attention.wqkv.lora_A.weight"
        state = pickle.dumps({"meta": {"cfg": text}, "state_dict": "STATE"}, protocol=2)
        storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        storage += b"X\x03\x00\x00\x00cpuK\x04tQ"
        tensor = (
            b"ctorch._utils\n_rebuild_tensor_v2\n("
            + storage
            + b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89}tR"
        )
        name = b"X" + len(at).to_bytes(4, "little") + at.encode()
        mark = pickle.dumps("STATE", protocol=2)[2:-1]
        state = state.replace(mark.split(b"q")[0], b"}" + name + tensor + b"s", 1)
        with zipfile.ZipFile(folder / "x.pth", "w") as archive:
            archive.writestr("x/data.pkl", state)
            archive.writestr("x/data/0", bytes(16))

    return make


XTUNER = ("merge", "base", "x.pth", "out")
_TEXTS = {
    "a slow pattern": "model = dict(llm_lora=dict(r=2, lora_alpha=2, "
    "rank_pattern={'((.*)*)*X': 3}))",
    "deep brackets": "model = " + "[" * 5000,
    "deep signs": "model = " + "-" * 50_000 + "1",
    "deep attributes": "model = a" + ".a" * 50_000,
    "deep calls": "model = " + "dict(a=" * 150 + "1" + ")" * 150,
    "1e999": "model = dict(llm_lora=dict(r=2, lora_alpha=1e999))",
    "a rank of 10^400": f"model = dict(llm_lora=dict(r={10**400}, lora_alpha=1))",
    "a rank of 5,000 digits": f"model = dict(llm_lora=dict(r={'9' * 5000}, lora_alpha=1))",
    "a list": "model = []",
    "no Python": "model = = 1",
    "a NUL": "model = dict()\0",
    "2 MB": "model = [" + "1," * (1 << 20) + "]",
    "500 kB of numbers": "model = [" + "1," * (250 << 10) + "]",
    "a number": 7,
    "a call": "model = __import__('os').system('touch owned')",
}
CASES = [
    *(
        Case(f"{key}: {pattern}", MERGE, _settings(**{key: {pattern: 2}}), says="takes more than")
        for key in ("rank_pattern", "alpha_pattern")
        for pattern in _SLOW
    ),
    *(
        Case(f"rank_pattern: {pattern[:30]}", MERGE, _settings(rank_pattern={pattern: 2}))
        for pattern in _BROKEN
    ),
    Case(
        "ordinary patterns", MERGE, _settings(rank_pattern={r"layers\.\d+\.self_attn.o_proj": 2}), 0
    ),
    Case(
        "patterns that do not match", MERGE, _settings(rank_pattern={"k_proj": 9, ".*q_proj": 8}), 0
    ),
    Case(
        "5,000 patterns",
        MERGE,
        _settings(rank_pattern={f"layers.{n}.x": 2 for n in range(5000)}),
        0,
    ),
    Case("a list as rank_pattern", MERGE, _settings(rank_pattern=[]), 0),
    Case("target_modules", MERGE, _settings(target_modules="((.*)*)*X"), 0),
    Case("target_modules, checked", CHECK_ADAPTER, _checked(target_modules="((.*)*)*X"), 0),
    Case("checked", CHECK_ADAPTER, _checked(rank_pattern={"((.*)*)*X": 2}), 3),
    *(
        Case(f"{json.dumps(settings)[:50]}", MERGE, _settings(**settings))
        for settings in (
            {"r": 10**30},
            {"r": True},
            {"r": "2"},
            {"r": 2.0},
            {"lora_alpha": 10**60},
            {"lora_alpha": []},
            {"rank_pattern": ["a"]},
            {"rank_pattern": {"a": []}},
            {"rank_pattern": {"a": 10**60}},
            {"alpha_pattern": {"o_proj": 10**60}},
            {"peft_type": ["LORA"]},
            {"peft_type": "x" * 100_000},
            {"surprise": ["x" * 1000] * 1000},
            {"x" * 100_000: 1},
        )
    ),
    *(Case(f"xtuner: {name}", XTUNER, _xtuner(text)) for name, text in _TEXTS.items()),
]
