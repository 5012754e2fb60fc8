"""Files of torch.save: their pickles, and the archives around them; headers of safetensors."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import CHECK, MERGE, Case, adapter, base, both

KIND = "pickles and archives"
Content = bytes | Callable[[], bytes]
"""A large one is made only when its case is run."""
XTUNER = ("merge", "base", "x.pth", "out")


def _nested(levels: int) -> bytes:
    """A tuple of itself twice, so many times: few bytes, 2^levels leaves."""
    return b"K\x01" + b"2\x86" * levels


def _torch(content: bytes, compression: int = zipfile.ZIP_STORED, top: str = "x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr(f"{top}/data.pkl", content)
        archive.writestr(f"{top}/data/0", bytes(64))
    return out.getvalue()


def _sound() -> bytes:
    return pickle.dumps({"state_dict": {"a": 1}, "meta": {"cfg": "model = dict()"}}, protocol=2)


_PICKLES: dict[str, Content] = {
    "a key of nested tuples": b"\x80\x02}" + _nested(60) + b"K\x01s.",
    "keys of nested tuples": b"\x80\x02}(" + _nested(60) + b"K\x01u.",
    "a mapping of nested tuples": b"\x80\x02(" + _nested(60) + b"K\x01d.",
    "a set of nested tuples": b"\x80\x04\x8f(" + _nested(60) + b"\x90.",
    "a frozen set of nested tuples": b"\x80\x04(" + _nested(60) + b"\x91.",
    "a name of nested tuples": b"\x80\x02}X\x0a\x00\x00\x00state_dict}K\x07" + _nested(40) + b"ss.",
    "nested tuples": b"\x80\x02" + _nested(60) + b".",
    "33 MB of a name": lambda: (
        b"\x80\x02}X\x0a\x00\x00\x00state_dict}X"
        + (33 << 20).to_bytes(4, "little")
        + b"x" * (33 << 20)
        + b"K\x01ss."
    ),
    "a global with a long name": b"c" + b"a" * 1_000_000 + b"\nb\n.",
    "four million lists": lambda: b"\x80\x02(" + b"]" * 4_000_000 + b"t.",
    "two million mappings": lambda: b"\x80\x02(" + b"}" * 2_000_000 + b"t.",
    "two million sets": lambda: b"\x80\x04(" + b"\x8f" * 2_000_000 + b"t.",
    "two million marks": lambda: b"\x80\x02" + b"(" * 2_000_000 + b".",
    "deep lists": b"\x80\x02" + b"]" * 500_000 + b"a" * 499_999 + b".",
    "a number of 100 million bits": lambda: (
        b"\x80\x02\x8b" + (12 << 20).to_bytes(4, "little") + b"\x7f" * (12 << 20) + b"."
    ),
    "a text of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a memo of two billion": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a text of 4 GB": b"\x80\x04\x8d" + (1 << 32).to_bytes(8, "little") + b"x.",
    "bytes of 4 GB": b"\x80\x03B\xff\xff\xff\xff" + b"x.",
    "a frame of 4 GB": b"\x80\x04\x95" + (1 << 32).to_bytes(8, "little") + b".",
    "a list without end": b"\x80\x02]q\x00h\x00a.",
    "a tensor changed later": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
    b"tRN}X\x05\x00\x00\x00shape" + _nested(40) + b"s\x86b.",
    "os.system": b"cos\nsystem\n(X\x05\x00\x00\x00touchtR.",
    "eval": b"cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
    "nothing": b"",
    "cut off": _sound()[:-5],
    "an unknown opcode": b"\xff\xff",
}


def _bomb(compression: int) -> bytes:
    return _torch(b"\x80\x02" + b"]" * (200 << 20), compression)


def _damaged_archives() -> dict[str, Content]:
    sound, deflated = _torch(_sound()), _torch(_sound() * 50, zipfile.ZIP_DEFLATED)
    at = deflated.index(b"data.pkl") + 8
    directory = sound.index(b"PK\x01\x02")
    end = sound.index(b"PK\x05\x06")
    unicode_name = sound.replace(b"x/data.pkl", b"\xff/data.pkl")
    flagged = bytearray(unicode_name)
    flagged[directory + 8 : directory + 10] = struct.pack("<H", 0x800)
    return {
        "a broken deflate": deflated[:at] + b"\xff" * 20 + deflated[at + 20 :],
        "a deflate bomb": lambda: _bomb(zipfile.ZIP_DEFLATED),
        "an LZMA bomb": lambda: _bomb(zipfile.ZIP_LZMA),
        "a bzip2 bomb": lambda: _bomb(zipfile.ZIP_BZIP2),
        "a broken LZMA": _torch(_sound() * 9, zipfile.ZIP_LZMA).replace(
            b"\x5d\x00", b"\xff\xff", 2
        ),
        "an unknown compression": sound[: directory + 10] + b"\x63\x00" + sound[directory + 12 :],
        "encrypted": sound[: directory + 8] + b"\x01\x00" + sound[directory + 10 :],
        "a directory beyond the file": sound[: end + 12] + b"\xff" * 8 + sound[end + 20 :],
        "a directory before the file": sound[: end + 16] + b"\xff\xff\xff\x7f" + sound[end + 20 :],
        "a wrong checksum": sound[: directory + 16] + bytes(4) + sound[directory + 20 :],
        "a length of 4 GB": sound[: directory + 20]
        + b"\xfe\xff\xff\xff" * 2
        + sound[directory + 28 :],
        "a name that is not UTF-8": bytes(flagged),
        "an extra field cut off": sound[: directory + 30] + b"\xff\xff" + sound[directory + 32 :],
        "no end": sound[:end],
        "only an end": sound[end:],
        "half": sound[: len(sound) // 2],
        "two pickles": _torch(_sound()) + _torch(_sound(), top="y"),
        "a pickle alone": _sound(),
        "text": b"hello",
        "an HTML page": b"<!DOCTYPE html>",
        "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    }


def _many_records() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x/data.pkl", _sound())
    sound = out.getvalue()
    directory, end = sound.index(b"PK\x01\x02"), sound.index(b"PK\x05\x06")
    entry = sound[directory:end] * 400_000
    tail = bytearray(sound[end:])
    tail[12:16] = struct.pack("<I", len(entry))
    return sound[:directory] + entry + bytes(tail)


def _made(content: Content) -> bytes:
    return content() if callable(content) else content


def _archive(content: Content) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder)
        (folder / "x.pth").write_bytes(_made(content))

    return make


def _beside(content: Content) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (base(folder) / "extra.json").write_bytes(_made(content))

    return make


def _pickle(content: Content) -> Callable[[Path], None]:
    return _archive(lambda: _torch(_made(content)))


def _mutated(seed: int) -> Callable[[], bytes]:
    """A sound file with bytes of its archive and pickle changed."""

    def make() -> bytes:
        dice, data = random.Random(seed), bytearray(_torch(_sound()))
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        return bytes(data)

    return make


def _header(text: bytes, rest: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text + rest


def _entry(**changes: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}
    return json.dumps({"a": {key: value for key, value in entry.items() if value != "-"}}).encode()


_HEADERS: dict[str, Content] = {
    "a length of 2^63": (1 << 63).to_bytes(8, "little"),
    "90 MB of lists": lambda: _header(b'{"a":[' + b"[]," * 30_000_000 + b"1]}"),
    "90 MB of text": lambda: _header(b'{"a":"' + b"x" * 90_000_000 + b'"}'),
    "a name of 1 MB": _header(b'{"' + b"n" * 1_000_000 + b'": 3}'),
    "half a pair as a name": _header(
        b'{"\\ud800": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}', bytes(4)
    ),
    "a key twice": _header(b'{"a": 1, "a": 2}'),
    "deep": _header(b'{"a":' + b"[" * 100_000),
    "NaN": _header(b'{"a": NaN}'),
    "4,000 digits": _header(_entry(shape=[int("9" * 4000)])),
    "500 dimensions": _header(_entry(shape=[2] * 500)),
    "a hundred thousand dimensions": _header(_entry(shape=[2**62] * 100_000)),
    "a shape of 2^200": _header(_entry(shape=[2**50] * 4)),
    "negative": _header(_entry(shape=[-1])),
    "a truth value": _header(_entry(shape=[True])),
    "offsets turned round": _header(_entry(data_offsets=[4, 0]), bytes(4)),
    "offsets beyond": _header(_entry(shape=[2**40], data_offsets=[0, 2**42]), bytes(4)),
    "three offsets": _header(_entry(data_offsets=[0, 4, 8]), bytes(8)),
    "an unknown dtype": _header(_entry(dtype="X" * 100_000), bytes(4)),
    "a list as dtype": _header(_entry(dtype=[[]]), bytes(4)),
    "without dtype": _header(_entry(dtype="-"), bytes(4)),
    "metadata of lists": _header(b'{"__metadata__": [[]]}'),
    "no object": _header(b"[]"),
    "empty": b"",
    "seven bytes": b"1234567",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
}


def _weights(content: Content) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder)
        (adapter(folder) / "adapter_model.safetensors").write_bytes(_made(content))

    return make


def _index(data: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        both(folder)
        (folder / "base" / "model.safetensors.index.json").write_text(json.dumps(data))

    return make


_INDEXES = {
    "a list": [],
    "no map": {},
    "a list as a map": {"weight_map": []},
    "a file outside": {"weight_map": {"a": "../x.safetensors"}},
    "an absolute file": {"weight_map": {"a": "/dev/zero.safetensors"}},
    "a NUL": {"weight_map": {"a": "a\0.safetensors"}},
    "a name of 300 characters": {"weight_map": {"a": "a" * 300 + ".safetensors"}},
    "a name of a megabyte": {"weight_map": {"a": "a" * 1_000_000 + ".safetensors"}},
    "a pickle": {"weight_map": {"a": "a.bin"}},
    "a hundred thousand shards": {
        "weight_map": {f"{n}": f"{n}.safetensors" for n in range(100_000)}
    },
    "numbers": {"weight_map": {"a": 3}},
    "a total that is a list": {
        "metadata": {"total_size": []},
        "weight_map": {"a": "model.safetensors"},
    },
}


def _sentencepiece(content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder, tokenizer_json=None)
        (folder / "base" / "tokenizer.model").write_bytes(content)

    return make


CASES = [
    *(Case(f"pickle: {name}", XTUNER, _pickle(content)) for name, content in _PICKLES.items()),
    *(
        Case(f"archive: {name}", XTUNER, _archive(content))
        for name, content in _damaged_archives().items()
    ),
    Case("archive: 400,000 records", XTUNER, _archive(_many_records)),
    *(Case(f"archive: changed {seed}", XTUNER, _archive(_mutated(seed))) for seed in range(12)),
    *(Case(f"safetensors: {name}", MERGE, _weights(data)) for name, data in _HEADERS.items()),
    *(Case(f"index: {name}", MERGE, _index(data)) for name, data in _INDEXES.items()),
    Case("a zip bomb among the base's files", CHECK, _beside(lambda: _bomb(8)), exits=3),
    *(
        Case(f"sentencepiece: {name}", ("convert", "base", "out"), _sentencepiece(content))
        for name, content in {
            "no end": b"\xff" * 100,
            "a field of 2^60": b"\x0a" + b"\xff" * 8 + b"\x0f",
            "empty": b"",
            "text": b"hello",
        }.items()
    ),
]
