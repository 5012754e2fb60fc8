"""Random input for what reads files from outside, until the time is up; prints what was found.

python tests/hostile/fuzz.py --seconds 600 [--target NAME]
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hubkit.errors import SpecError, WeightsError
from hubkit.pipeline.spec.file import load
from hubkit.sdk.checkpoints.header import read_header
from hubkit.sdk.checkpoints.unpickle import unpickle

sys.path.insert(0, str(Path(__file__).parent))

import hub_answers
from case import RELEASE

_SLOW = 5.0
_PHASES = [Phase.generate]
_OPCODES = sorted(
    value for name, value in vars(pickle).items() if name.isupper() and isinstance(value, bytes)
)
_NUMBERS = st.integers(-2, 9) | st.integers() | st.floats()
_WORDS = st.sampled_from(
    ["F32", "BF16", "dtype", "shape", "data_offsets", "__metadata__", "a", "b"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)
_MARKS = [
    *("&a", "*a", "?", "-", ":", "[", "]", "{", "}", "'", '"', "|", ">", "%", "@", "!"),
    *("!!", "!!set", "!!int", "!!timestamp", ".nan", "0x_", "~", "<<"),
]
_YAML = st.lists(
    st.sampled_from([*RELEASE.splitlines(), *_MARKS]) | st.text(max_size=6), max_size=12
)
_PROGRAM = st.lists(
    st.sampled_from(_OPCODES)
    | st.binary(max_size=5)
    | st.sampled_from(
        [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"K\x01", b"\x8c\x01a"]
    ),
    max_size=40,
)


def _header(data: bytes) -> None:
    with suppress(WeightsError):
        read_header(io.BytesIO(data), len(data), "x")


def _pickled(data: bytes) -> None:
    with suppress(WeightsError):
        unpickle(io.BytesIO(data), "x")


def _release(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "release.yaml"
        path.write_bytes(data)
        with suppress(SpecError):
            load(path)


def _framed(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw


TARGETS: dict[str, tuple[Callable[[bytes], None], st.SearchStrategy[bytes]]] = {
    "header": (
        _header,
        _JSON.map(json.dumps).map(_framed) | st.text().map(_framed) | st.binary(),
    ),
    "pickle": (_pickled, _PROGRAM.map(lambda parts: b"\x80\x04" + b"".join(parts) + b".")),
    "release": (
        _release,
        _YAML.map(lambda parts: "\n".join(parts).encode("utf-8", "surrogatepass")) | st.binary(),
    ),
    "hub": (hub_answers.ask, hub_answers.EXAMPLES),
}


def fuzz(name: str, seconds: float) -> tuple[int, str]:
    """How many were tried, and the first that went wrong."""
    target, strategy = TARGETS[name]
    until, tried = time.monotonic() + seconds, 0

    while time.monotonic() < until:

        @settings(
            max_examples=100 if name == "hub" else 500,
            database=None,
            deadline=None,
            phases=_PHASES if name == "hub" else [*_PHASES, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def attempt(data: bytes) -> None:
            nonlocal tried
            tried += 1
            began = time.process_time()
            target(data)
            assert time.process_time() - began < _SLOW, f"{data!r} took too long"

        try:
            attempt()
        except BaseException as error:
            return tried, f"{type(error).__name__}: {error} {getattr(error, '__notes__', '')}"
    return tried, ""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--target", choices=TARGETS)
    given_ = parser.parse_args(arguments)
    failed = False
    for name in [given_.target] if given_.target else TARGETS:
        tried, problem = fuzz(name, given_.seconds)
        print(f"{name}: {tried:,} tried in {given_.seconds / 60:g} min; {problem or 'none wrong'}")
        failed |= bool(problem)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
