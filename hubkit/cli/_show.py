"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..evaluation.results import Evaluated, Interval, Measure
    from ..pipeline import ReleaseResult
    from ..sdk import Problem


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        shown.add_row(*(Text(cell) for cell in row), style=styles[number] if styles else None)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(shown)


def evaluated(result: Evaluated) -> None:
    """The before/after table: each metric, then its slices, with 95 % intervals."""
    rows = []
    for measure in result.measures:
        rows.append(
            (measure.metric, str(measure.count), _interval(measure.base), _interval(measure.score), _change(measure.change))
        )
        for one in measure.slices:
            name = f"  {one.field}: {one.value}"
            rows.append((name, str(one.count), _interval(one.base), _interval(one.score), _change(one.change)))
    table("Held-out records, with 95 % intervals", ("metric", "n", "base", "this model", "change in points"), rows)
    for measure in result.measures:
        if measure.p_value is not None:
            click.echo(f"{measure.metric}: {measure.test} p = {measure.p_value:.3g}; {_claim(measure)}")


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _change(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _claim(measure: Measure) -> str:
    return "it improved" if measure.improved else "it got worse" if measure.worsened else "no improvement was shown"


def problems(found: Sequence[Problem]) -> None:
    table(f"{len(found)} problem(s)", ("where", "what is wrong", "what to do"), [(p.where, p.message, p.remedy) for p in found])


def release_result(result: ReleaseResult) -> None:
    if result.evaluation:
        evaluated(result.evaluation)
    if result.folder:
        click.echo(f"release folder: {result.folder}")
        click.echo(f"commit:         {result.commit} (tag {result.tag})")
    for receipt in result.receipts:
        click.echo(f"published:      {receipt.url} at {receipt.revision[:12]}")
    for target in result.verified:
        click.echo(
            f"verified:       {target.to}: {target.files} files{', fresh download asked and answered' if target.deep else ''}"
        )
