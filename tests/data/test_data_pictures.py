"""Pictures as cameras, scanners and exports make them: training, engine and server see what a
viewer shows. What has no one reading is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from hubkit_peft.examples import Encoder
from hubkit_transformers.inputs import Tiled, pixels, question
from hubkit_transformers.serving.pictures import picture_of
from PIL import Image
from testing.projects import BASE

import hubkit
from hubkit.data.pictures import Picture, examine
from hubkit.errors import DataError
from hubkit.sdk import PictureError, Record, Turn, open_picture
from hubkit.sdk.pictures import FORMATS, as_shown, spelled
from hubkit.weights.model import open_model

SCALED, WHITE, TURNED = (
    "deep grey, scaled to 8 bits",
    "transparency, laid on white",
    "turned upright",
)
CMYK, MPO = "CMYK, made RGB", "first picture of an MPO file"
Made = tuple[Path, Any, tuple[str, ...]]
"""A file, the RGB values that a viewer shows (None: those of Pillow's own RGB), and the changes."""


def noise(draw: random.Random, *shape: int, most: int = 256) -> Any:
    kind = numpy.uint8 if most == 256 else numpy.uint16
    return numpy.random.default_rng(draw.randrange(1 << 30)).integers(0, most, shape, dtype=kind)


def grey(values: Any) -> Any:
    return numpy.repeat(values[..., None], 3, axis=2).astype(numpy.uint8)


def on_white(rgb: Any, alpha: Any) -> Any:
    layer = Image.fromarray(numpy.dstack([rgb, alpha]), "RGBA")
    sheet = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return numpy.asarray(Image.alpha_composite(sheet, layer).convert("RGB"))


def pictures(folder: Path, number: int) -> Iterator[Made]:
    """One of each mode, of a random size and content; `number` is the seed."""
    draw = random.Random(number)
    height, width = draw.randrange(9, 60), draw.randrange(9, 60)
    rgb, alpha = noise(draw, height, width, 3), noise(draw, height, width)
    deep, one = noise(draw, height, width, most=65_536), noise(draw, height, width)

    def made(name: str, image: Any, shown: Any, *changes: str, **options: Any) -> Made:
        image.save(folder / name, **options)
        return folder / name, shown, changes

    eight = numpy.rint(deep / 257)
    yield made("rgb.png", Image.fromarray(rgb), rgb)
    yield made("rgb.bmp", Image.fromarray(rgb), rgb)
    yield made("grey.png", Image.fromarray(one), grey(one))
    yield made("deep.png", Image.fromarray(deep), grey(eight), SCALED)
    yield made("deep.tif", Image.fromarray(deep), grey(eight), SCALED)
    big = Image.frombytes("I;16B", (width, height), deep.astype(">u2").tobytes())
    yield made("big.tif", big, grey(eight), SCALED)
    yield made("int.tif", Image.fromarray(deep.astype(numpy.int32)), grey(eight), SCALED)
    floats = (deep / 65_535).astype(numpy.float32)
    yield made("float.tif", Image.fromarray(floats), grey(numpy.rint(floats * 255)), SCALED)
    yield made(
        "alpha.png", Image.fromarray(numpy.dstack([rgb, alpha])), on_white(rgb, alpha), WHITE
    )
    full = numpy.full_like(alpha, 255)
    yield made("opaque.png", Image.fromarray(numpy.dstack([rgb, full])), rgb)
    la = Image.merge("LA", [Image.fromarray(one), Image.fromarray(alpha)])
    yield made("la.png", la, on_white(grey(one), alpha), WHITE)
    key = tuple(int(value) for value in rgb[0, 0])
    hole = numpy.where((rgb == rgb[0, 0]).all(axis=2), 0, 255).astype(numpy.uint8)
    yield made("key.png", Image.fromarray(rgb), on_white(rgb, hole), WHITE, transparency=key)
    palette = Image.fromarray(rgb).quantize(16)
    plain = numpy.asarray(palette.convert("RGB"))
    yield made("palette.png", palette, plain)
    first = int(numpy.asarray(palette)[0, 0])
    hole = numpy.where(numpy.asarray(palette) == first, 0, 255).astype(numpy.uint8)
    for name in ("hole.png", "hole.gif"):
        yield made(name, palette, on_white(plain, hole), WHITE, transparency=first)
    yield made("cmyk.jpg", Image.fromarray(rgb).convert("CMYK"), None, CMYK)
    yield made("cmyk.tif", Image.fromarray(rgb).convert("CMYK"), None, CMYK)
    yield made("photo.jpg", Image.fromarray(rgb), None, quality=95)
    yield made("bits.png", Image.fromarray(one).convert("1"), None)
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        shown = turned(rgb, turn)
        yield made(f"turn{turn}.png", Image.fromarray(rgb), shown, TURNED, exif=exif)
        yield made(f"turn{turn}.tif", Image.fromarray(rgb), shown, TURNED, exif=exif)
        lossless = {"lossless": True, "exif": exif}
        yield made(f"turn{turn}.webp", Image.fromarray(rgb), shown, TURNED, **lossless)
    exif[0x0112] = 6
    both = numpy.dstack([rgb, alpha])
    yield made(
        "both.png", Image.fromarray(both), turned(on_white(rgb, alpha), 6), WHITE, TURNED, exif=exif
    )
    more = {"save_all": True, "append_images": [Image.fromarray(255 - rgb)]}
    yield made("stereo.jpg", Image.fromarray(rgb), None, MPO, format="MPO", **more)


def turned(values: Any, turn: int) -> Any:
    """As EXIF 2.3 says: where row 0 and column 0 of what is stored are to be seen."""
    upright: dict[int, Callable[[Any], Any]] = {
        2: lambda v: v[:, ::-1],
        3: lambda v: v[::-1, ::-1],
        4: lambda v: v[::-1],
        5: lambda v: v.transpose(1, 0, 2),
        6: lambda v: numpy.rot90(v, -1),
        7: lambda v: v.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda v: numpy.rot90(v),
    }
    return upright[turn](values)


@pytest.mark.parametrize("number", range(3))
def test_each_mode_is_shown_as_a_viewer_shows_it(number: int, tmp_path: Path) -> None:
    for path, shown, changes in pictures(tmp_path, number):
        with open_picture(path) as picture:
            found = picture.rgb()
            assert (found.mode, found.size) == ("RGB", (picture.width, picture.height)), path.name
            assert picture.changes == changes, path.name
        if shown is None:
            shown = numpy.asarray(Image.open(path).convert("RGB"))
        assert numpy.array_equal(numpy.asarray(found), shown), path.name
        assert as_shown(found) == (found, ()), path.name
        looked = examine(path)
        assert isinstance(looked, Picture) and looked.changes == changes
        assert (looked.width, looked.height) == found.size


def test_training_engine_and_server_see_the_same(tmp_path: Path) -> None:
    vision = open_model(BASE).vision
    encoder = Encoder(None, vision, tmp_path, ())
    for path, _, _ in pictures(tmp_path, 7):
        record = Record("1", (path.name,), (Turn("<image>\nWhich?", "x"),))
        (trained,) = encoder.pixels(record)
        assert encoder.tile_counts(record) == [len(trained)], path.name
        (asked,) = question(record, tmp_path, Tiled(None, vision)).pictures
        url = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        served = pixels(picture_of(url, "image_url"), vision)
        values = trained.transpose(0, 2, 3, 1).astype(numpy.float32) / 255
        normal = (values - numpy.float32(vision.mean)) / numpy.float32(vision.std)
        assert numpy.array_equal(normal.transpose(0, 3, 1, 2), asked), path.name
        assert numpy.array_equal(asked, served), path.name


def test_white_is_zero(tmp_path: Path) -> None:
    """Both ways to write the same grey picture: TIFF's photometric interpretation 0 and 1."""
    deep = noise(random.Random(5), 9, 12, most=65_536)
    plain, inverted = tmp_path / "1.tif", tmp_path / "0.tif"
    Image.fromarray(deep).save(plain)
    Image.fromarray(65_535 - deep).save(inverted, tiffinfo={262: 0})
    data = inverted.read_bytes()
    if Image.open(inverted).tag_v2[262] != 0:  # Pillow writes its own
        entry = (262).to_bytes(2, "little") + b"\x03\x00" + (1).to_bytes(4, "little")
        at = data.index(entry) + len(entry)
        inverted.write_bytes(data[:at] + b"\0\0" + data[at + 2 :])
    found = [numpy.asarray(open_picture(path).rgb()) for path in (plain, inverted)]
    assert numpy.array_equal(*found)


def frames(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    one, *others = (Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue"))
    one.save(out, kind, save_all=True, append_images=others, **options)
    return out.getvalue()


def late_turn() -> bytes:
    """A PNG whose EXIF stands behind its pixels."""
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(out, "PNG", exif=exif)
    data = out.getvalue()
    at = data.index(b"eXIf") - 4
    size = 12 + int.from_bytes(data[at : at + 4], "big")
    end = data.index(b"IEND") - 4
    return data[:at] + data[at + size : end] + data[at : at + size] + data[end:]


def saved(image: Any, kind: str = "TIFF") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def deep_png(colour: int, width: int, key: bool = False) -> bytes:
    """A PNG of 16 bits a channel, grey (0) or RGB (2), which Pillow cannot write; with `key` the
    first pixel's colour is transparent."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

    values = noise(random.Random(3), 2, width, 3 if colour else 1, most=65_536).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = width.to_bytes(4, "big") + (2).to_bytes(4, "big") + bytes((16, colour, 0, 0, 0))
    hole = chunk(b"tRNS", values[:1, :1].tobytes()) if key else b""
    body = chunk(b"IHDR", head) + hole + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_transparent_grey_of_16_bits() -> None:
    with open_picture(deep_png(0, 6, key=True)) as picture:
        found = numpy.asarray(picture.rgb())
        assert picture.changes == (SCALED, WHITE)
    with open_picture(deep_png(0, 6)) as plain:
        expected = numpy.array(plain.rgb())
        assert plain.changes == (SCALED,)
    expected[0, 0] = 255
    assert numpy.array_equal(found, expected)
    with open_picture(deep_png(2, 6)) as coloured:
        assert coloured.rgb().size == (6, 2) and coloured.changes == ()


REFUSED = {
    "animated or has several pages": [
        frames("GIF"),
        frames("WEBP", lossless=True),
        frames("PNG"),
        frames("TIFF"),
    ],
    "not an image of PNG, JPEG": [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"P6 1 1 255\n\0\0\0",
        b"",
    ],
    "which only 0 to 65,535 says": [
        saved(Image.fromarray(numpy.full((4, 4), 1 << 20, numpy.int32))),
        saved(Image.fromarray(numpy.full((4, 4), -3, numpy.int32))),
    ],
    "which only 0 to 1 says": [
        saved(Image.fromarray(numpy.full((4, 4), 80.5, numpy.float32))),
        saved(Image.fromarray(numpy.full((4, 4), numpy.nan, numpy.float32))),
    ],
    "its EXIF turn stands behind the pixels": [late_turn()],
    "one colour of 16 bits is transparent": [deep_png(2, 6, key=True)],
}


@pytest.mark.parametrize(
    ("says", "data"), [(says, data) for says, found in REFUSED.items() for data in found]
)
def test_what_has_no_one_reading_is_refused(says: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    found = examine(path)
    assert isinstance(found, str) and says in found
    if "behind" not in says:
        with pytest.raises(PictureError):
            open_picture(data).rgb()


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A FIFO that nobody writes would be waited for."""
    os.mkfifo(tmp_path / "pipe.png")
    assert examine(tmp_path / "pipe.png") == "a named pipe, not a regular file"
    assert examine(tmp_path) == "Is a directory"
    assert examine(tmp_path / "none.png") == "no such file"
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate((256 << 20) + 1)
    assert examine(tmp_path / "huge.png") == "268,435,457 bytes is more than a picture should have"


def test_no_other_format_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's reader of PostScript, which starts Ghostscript, is never asked."""
    Image.init()
    factory, accept = Image.OPEN["EPS"]
    asked: list[bytes] = []

    def note(prefix: bytes) -> bool:
        asked.append(prefix)
        return bool(accept and accept(prefix))

    monkeypatch.setitem(Image.OPEN, "EPS", (factory, note))
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    assert isinstance(examine(tmp_path / "a.png"), str) and asked == []
    assert "EPS" not in FORMATS


def dataset(folder: Path, *names: str) -> Path:
    turns = [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": "x"}]
    items = [
        {"id": str(number), "image": name, "conversations": turns}
        for number, name in enumerate(names)
    ]
    (folder / "data.json").write_text(json.dumps(items, ensure_ascii=False), "utf-8")
    return folder / "data.json"


def test_the_report_counts_what_is_converted(tmp_path: Path) -> None:
    names = [path.name for path, _, _ in pictures(tmp_path, 1)]
    done = hubkit.prepare(dataset(tmp_path, *names), tmp_path / "out")
    assert done.report.converted == {CMYK: 2, SCALED: 5, MPO: 1, WHITE: 6, TURNED: 22}
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert f'<td>{SCALED}</td><td class="number">5</td>' in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["converted"][CMYK] == 2


@pytest.mark.parametrize("look", ["open", "exist"])
@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_in_another_unicode_form(look: Any, forms: tuple[str, str], tmp_path: Path) -> None:
    """As written by macOS and by everybody else; folders too. What is written is what is there."""
    there, written = (unicodedata.normalize(form, "été/Café-ガラス.png") for form in forms)
    (tmp_path / there).parent.mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / there)
    assert there != written and spelled(tmp_path, written) == there
    source = dataset(tmp_path, written, "b.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "b.png")
    done = hubkit.prepare(source, tmp_path / "out", hubkit.PrepareSettings(look=look, copy=True))
    found = json.loads((tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()[0])
    assert found["image"] == there and (tmp_path / "out" / "images" / there).is_file()
    assert done.report.converted == {"found under the same name in another Unicode form": 1}
    missing = dataset(tmp_path, "Café-none.png")
    with pytest.raises(DataError, match="no such file"):
        hubkit.prepare(missing, None, hubkit.PrepareSettings(look=look))


def test_a_remedy_that_works(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(frames("GIF"))
    source = dataset(tmp_path, "a.gif")
    with pytest.raises(DataError, match="save the one that is meant") as caught:
        hubkit.prepare(source, None)
    assert caught.value.remedy.startswith("replace it by an 8-bit PNG or JPEG")
    animated = Image.open(tmp_path / "a.gif")
    animated.seek(1)
    animated.convert("RGB").save(tmp_path / "a.gif", "PNG")
    assert hubkit.prepare(source, None).report.records == 1
