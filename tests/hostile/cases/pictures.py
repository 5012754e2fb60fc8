"""Pictures that are none, or in a format whose readers start programs."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from case import Case

KIND = "pictures"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head)
    return start + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    text = zlib.compress(bytes(200 << 20))
    sound = _png(1, 1, bytes(4))
    return sound[:33] + _chunk(b"zTXt", b"Comment\0\0" + text) + sound[33:]


_BYTES: dict[str, bytes | Callable[[], bytes]] = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "PDF": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "XML with an entity": b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
    "HTML": b"<html></html>",
    "nothing": b"",
    "text": b"hello",
    "cut off": _png(9, 9)[:40],
    "no pixels": _png(9, 9),
    "a picture of 2^31 pixels": _png(46341, 46341),
    "no width": _png(0, 9),
    "XPM": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #000000", "a"};\n',
    "FITS": b"SIMPLE  =                    T" + b" " * 2850,
    "a Windows metafile": b"\xd7\xcd\xc6\x9a" + bytes(40),
    "a PCX": b"\x0a\x05\x01\x08" + bytes(124),
    "an ICO": b"\0\0\1\0\1\0\1\1\0\0\1\0\x20\0" + bytes(20),
    "a broken TIFF": b"II*\0\x08\0\0\0\xff\xff" + bytes(60),
    "a TIFF of itself": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "a broken GIF": b"GIF89a\xff\xff\xff\xff\0\0\0",
    "a broken WebP": b"RIFF\xff\xff\xff\x7fWEBPVP8 " + bytes(30),
    "a broken JPEG": b"\xff\xd8\xff\xe0" + b"\xff" * 60,
}
_MADE: dict[str, Callable[[Path], object]] = {
    "a named pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


def _with(put: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "x"}]
        record = {"id": "1", "image": "1.png", "conversations": turns}
        (folder / "data.json").write_text(json.dumps([record]))
        put(folder / "1.png")

    return make


def _written(content: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content() if callable(content) else content)


CASES = [
    *(
        Case(name, ("prepare", "data.json", "out"), _with(_written(content)), says="1.png")
        for name, content in _BYTES.items()
    ),
    *(
        Case(name, ("prepare", "data.json", "out"), _with(put), says="1.png")
        for name, put in _MADE.items()
    ),
    Case(
        "200 MB of pixels beyond the last",
        ("prepare", "data.json", "out"),
        _with(_written(lambda: _png(9, 9, bytes(200 << 20)))),
        exits=0,
    ),
    Case(
        "200 MB of text beside the pixels",
        ("prepare", "data.json", "out"),
        _with(_written(_text_bomb)),
        says="1.png",
    ),
]
