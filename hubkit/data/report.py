"""The findings as one HTML page that needs nothing beside itself, and as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from itertools import dropwhile
from pathlib import Path

from ..resources import templates
from ..sdk import RESTRICTIONS, PictureError, Terms, open_picture
from ..sdk.codec import encode
from .findings import Lengths, Report

_THUMBNAIL = 192


def write_html(
    path: Path, report: Report, pictures: Mapping[str, Path], terms: Terms | None = None
) -> None:
    """`pictures` says where the files of `report.samples` are. Everything from the data is escaped;
    no script, no address."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((templates("data_report") / "report.html.j2").read_text("utf-8"))
    texts = report.texts
    charts = {
        "Turns of a record": _bars(report.turns),
        "Pictures of a record": _bars(report.images),
        "Tiles of a picture": _bars(report.tiles),
        "Tokens of a record": _length_bars(report.lengths),
        "Characters of a question": _length_bars(texts.prompts if texts else None),
        "Characters of an answer": _length_bars(texts.answers if texts else None),
    }
    samples = [
        (sample, [thumbnail(pictures.get(name)) for name in sample.images])
        for sample in report.samples
    ]
    text = page.render(
        report=report,
        charts={title: bars for title, bars in charts.items() if bars},
        samples=samples,
        terms=terms,
        restrictions=RESTRICTIONS,
    )
    replace_text(path, text)


def write_json(path: Path, report: Report) -> None:
    replace_text(
        path, json.dumps(encode(report), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    )


def replace_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _bars(numbers: Mapping[str, int]) -> list[tuple[str, int, float, bool]]:
    """(label, count, share of the highest, marked)"""
    most = max(numbers.values(), default=0)
    return [(label, count, count / most, False) for label, count in numbers.items()]


def _length_bars(lengths: Lengths | None) -> list[tuple[str, int, float, bool]]:
    """From the first length that there is."""
    if lengths is None:
        return []
    most, limit = max(count for _, _, count in lengths.bins), lengths.limit
    return [
        (
            f"{start:,}–{end - 1:,}" if end - start > 1 else f"{start:,}",
            count,
            count / most,
            bool(limit) and end - 1 > limit,
        )
        for start, end, count in dropwhile(lambda one: not one[2], lengths.bins)
    ]


def thumbnail(path: Path | None) -> str:
    """The picture, made small, as a data URL; empty where there is none."""
    if path is None:
        return ""
    try:
        with open_picture(path) as picture:
            small = picture.rgb().copy()
            small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    except (OSError, PictureError):
        return ""
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
