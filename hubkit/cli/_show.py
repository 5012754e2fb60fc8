"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..pipeline import ReleaseResult
    from ..sdk import Problem
    from ..stages.evaluate import Evaluated


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
    """The before/after table."""
    rows = []
    if result.base_score is not None:
        rows.append(("before (base)", f"{result.base_correct} of {result.count}", f"{result.base_score:.1%}"))
    rows.append(("after", f"{result.correct} of {result.count}", f"{result.score:.1%}"))
    if result.base_score is not None:
        rows.append(("change", "", f"{100 * (result.score - result.base_score):+.1f} points"))
    table(f"{result.metric} on held-out records", ("model", "right", result.metric), rows)


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
