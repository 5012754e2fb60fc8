"""Loss curve and sample pictures: real pixels, nothing else in the file, the same bytes every
time."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hubkit.packaging.card import LossPoint
from hubkit.packaging.card.figures import loss_png, running_mean, sample_png
from hubkit.sdk import DataError, UsageError

POINTS = [LossPoint(step, 2.0 / step) for step in range(1, 101)]


def _chunks(png: bytes) -> list[str]:
    names, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        names.append(png[at + 4 : at + 8].decode())
        at += 12 + length
    return names


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_loss_curve_falls_from_left_to_right() -> None:
    picture = _pixels(loss_png(POINTS))
    assert picture.shape == (600, 1440, 3)
    line = np.abs(picture - (0x0B, 0x72, 0x85)).sum(axis=2) < 30
    rows = np.arange(600)[:, None]
    heights = [
        float((rows * line[:, part]).sum() / line[:, part].sum())
        for part in (slice(100, 300), slice(1200, 1400))
    ]
    assert heights[0] + 100 < heights[1]


def test_loss_curve_is_reproducible_and_ignores_the_users_style(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matplotlib

    first = loss_png(POINTS)
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "font.size": 30}):
        assert loss_png(POINTS) == first
    assert not {"tEXt", "iTXt", "zTXt", "tIME", "eXIf"} & set(_chunks(first))


@pytest.mark.parametrize("points", [[], POINTS[:1], [*POINTS, LossPoint(101, float("nan"))]])
def test_no_curve_without_finite_losses(points: list[LossPoint]) -> None:
    with pytest.raises(UsageError, match="at least two finite losses"):
        loss_png(points)


def test_running_mean_keeps_lines_and_ends() -> None:
    straight = [float(n) for n in range(100)]
    assert running_mean(straight) == pytest.approx(straight)
    assert running_mean([1.0, 2.0]) == [1.0, 2.0]
    assert np.std(running_mean([0.0, 1.0] * 100)[10:-10]) < 0.1


def test_metadata_of_a_picture_is_left_behind(picture: Path) -> None:
    png = sample_png(picture)
    assert b"/home/somebody" in picture.read_bytes() and b"/home/somebody" not in png
    assert set(_chunks(png)) == {"IHDR", "IDAT", "IEND"}
    assert sample_png(picture) == png


def test_transparency_becomes_white_and_small_pictures_grow_by_whole_factors(picture: Path) -> None:
    pixels = _pixels(sample_png(picture))
    assert pixels.shape == (80, 112, 3)
    assert pixels[0, 0].tolist() == [255, 255, 255] and pixels[40, 56].tolist() == [200, 30, 30]
    assert (pixels[::2, ::2] == pixels[1::2, 1::2]).all()


def test_photographs_shrink_stand_upright_and_lose_their_place(tmp_path: Path) -> None:
    photo, path = Image.new("RGB", (1000, 500), "green"), tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera maker"
    photo.save(path, exif=exif)
    png = sample_png(path)
    assert _pixels(png).shape == (448, 224, 3)
    assert b"Camera" in path.read_bytes() and b"Camera" not in png


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.png: not a readable picture"):
        sample_png(path)
    with pytest.raises(DataError, match=r"gone\.png"):
        sample_png(tmp_path / "gone.png")
