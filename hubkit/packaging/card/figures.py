"""Pictures of the card, as PNG bytes that depend on their input alone: no date, no software name,
no metadata of the source. They have no words, since each card's own language says what they show.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hubkit.evaluation.results import Interval, Measure
from hubkit.sdk.errors import DataError, EnvironmentFailure, UsageError
from hubkit.sdk.install import install
from hubkit.sdk.pictures import PictureError, open_picture

from .facts import LossPoint

_INK, _FAINT, _ACCENT = "#1f2933", "#cbd2d9", "#0b7285"
_LONGEST, _SHORTEST = 448, 112  # pixels of a sample picture's longer side


def require_charts() -> None:
    """Raises EnvironmentFailure when matplotlib, which draws the charts, is not installed."""
    if find_spec("matplotlib") is None:
        raise EnvironmentFailure(
            "the card's charts need matplotlib, which is not installed here", install("weights")
        )


def loss_png(points: Sequence[LossPoint]) -> bytes:
    """The loss at each step, faint, and its running mean, 1440 x 600 pixels.

    Raises:
        UsageError: fewer than two points, or a loss that is not finite.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(points) < 2 or not all(math.isfinite(point.loss) for point in points):
        raise UsageError(
            "a loss curve needs at least two finite losses", "see the metrics of the train stage"
        )
    steps, losses = [point.step for point in points], [point.loss for point in points]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(7.2, 3.0), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(steps, losses, color=_ACCENT, alpha=0.3, linewidth=0.9)
        axes.plot(steps, running_mean(losses), color=_ACCENT, linewidth=2)
        axes.set_xlim(min(steps), max(steps))
        axes.set_ylim(bottom=0 if 0 <= min(losses) < max(losses) / 2 else None)
        axes.grid(axis="y", color=_FAINT, linewidth=0.6)
        axes.tick_params(colors=_INK, length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_FAINT)
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def scores_png(measures: Sequence[Measure]) -> bytes:
    """Two bars a metric, the base (grey) above the model, each with its 95 % interval; 1440 pixels
    wide."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [
        bar
        for measure in reversed(measures)
        for bar in ((measure.score, _ACCENT), (measure.base, _FAINT))
    ]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(7.2, 0.7 + 0.42 * len(rows)), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for place, (interval, colour) in enumerate(rows):
            if interval is not None:
                axes.barh(
                    _place(place),
                    100 * interval.value,
                    height=0.66,
                    color=colour,
                    xerr=_reach(interval),
                    error_kw={"ecolor": _INK, "elinewidth": 1.2, "capsize": 4},
                )
        axes.set_yticks(
            [2 * number + 0.5 for number in range(len(measures))],
            [measure.metric for measure in reversed(measures)],
        )
        axes.set_xlim(0, 100)
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.grid(axis="x", color=_FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, length=0)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.spines["left"].set_color(_FAINT)
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _place(row: int) -> float:
    """The two bars of a metric stand closer than those of two metrics."""
    return row + (0.1 if row % 2 == 0 else -0.1)


def _reach(interval: Interval) -> list[list[float]]:
    """How far the interval goes below and above its value, in points."""
    return [
        [100 * max(0.0, interval.value - interval.low)],
        [100 * max(0.0, interval.high - interval.value)],
    ]


def running_mean(values: Sequence[float]) -> list[float]:
    """The mean of each value and its neighbours, about a twentieth of all values wide, narrower at
    both ends."""
    half = len(values) // 40
    means = []
    for at in range(len(values)):
        reach = min(half, at, len(values) - 1 - at)
        window = values[at - reach : at + reach + 1]
        means.append(sum(window) / len(window))
    return means


def sample_png(picture: Path) -> bytes:
    """`picture` as an RGB PNG of pixels only, its longer side between 112 (enlarged by whole
    factors, so that small pictures stay sharp) and 448 pixels.

    Raises:
        DataError: the file is not a picture that can be read.
    """
    from PIL import Image

    try:
        with open_picture(picture) as source:
            pixels = source.rgb()
    except (OSError, PictureError) as error:
        raise DataError(
            f"{picture.name}: not a readable picture ({error})",
            "replace the picture or leave it out of the data",
        ) from None
    longest = max(pixels.size)
    if longest < _SHORTEST:
        factor = math.ceil(_SHORTEST / longest)
        pixels = pixels.resize(
            (pixels.width * factor, pixels.height * factor), Image.Resampling.NEAREST
        )
    elif longest > _LONGEST:
        pixels.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    clean = Image.frombytes("RGB", pixels.size, pixels.tobytes())
    clean.save(out, format="PNG", optimize=True)
    return out.getvalue()
