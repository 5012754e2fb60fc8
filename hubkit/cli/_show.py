"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..data.prepare import PreparedData
    from ..evaluation.results import Evaluated, Interval, Measure
    from ..pipeline.many import Outcome
    from ..pipeline.run import ReleaseResult
    from ..sdk import Foreseen, Problem


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()
) -> None:
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        shown.add_row(*(Text(cell) for cell in row), style=styles[number] if styles else None)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(shown)


def foreseen(training: Foreseen) -> None:
    count, size = training.samples // max(1, training.steps), training.batch_size
    click.echo(
        f"the training: {training.steps:,} steps of {count:,} records, {size:,} at once on a device"
    )
    if training.memory:
        click.echo(f"memory:       {training.memory / 2**30:.3g} GiB on a device")
    if training.seconds:
        click.echo(
            f"time:         about {duration(training.seconds)}, without starting and compiling"
        )
    for note in training.notes:
        click.echo(f"              {note}")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def evaluated(result: Evaluated) -> None:
    """The before/after table: each metric, then its slices, with 95 % intervals."""
    rows = []
    for measure in result.measures:
        rows.append(
            (
                measure.metric,
                str(measure.count),
                _interval(measure.base),
                _interval(measure.score),
                _change(measure.change),
            )
        )
        for one in measure.slices:
            name = f"  {one.field}: {one.value}"
            rows.append(
                (
                    name,
                    str(one.count),
                    _interval(one.base),
                    _interval(one.score),
                    _change(one.change),
                )
            )
    table(
        "Held-out records, with 95 % intervals",
        ("metric", "n", "base", "this model", "change in points"),
        rows,
    )
    for measure in result.measures:
        if measure.p_value is not None:
            click.echo(
                f"{measure.metric}: {measure.test} p = {measure.p_value:.3g}; {_claim(measure)}"
            )


def _interval(interval: Interval | None) -> str:
    return (
        ""
        if interval is None
        else f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
    )


def _change(interval: Interval | None) -> str:
    return (
        ""
        if interval is None
        else (
            f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
        )
    )


def _claim(measure: Measure) -> str:
    return (
        "it improved"
        if measure.improved
        else "it got worse"
        if measure.worsened
        else "no improvement was shown"
    )


def problems(found: Sequence[Problem]) -> None:
    table(
        f"{len(found)} problem(s)",
        ("where", "what is wrong", "what to do"),
        [(p.where, p.message, p.remedy) for p in found],
    )


def release_result(result: ReleaseResult) -> None:
    if result.evaluation:
        evaluated(result.evaluation)
    if result.folder:
        click.echo(f"release folder: {result.folder}")
        click.echo(f"commit:         {result.commit} (tag {result.tag})")
    for one in result.variants.values():
        first, count = one.judged.evaluated.measures[0], one.judged.evaluated.count
        click.echo(
            f"variant:        {one.name}: {first.metric} {first.score.value:.1%}, "
            f"{one.judged.same} of {count} answers are the same text"
        )
    for receipt in result.receipts:
        click.echo(f"published:      {receipt.url} at {receipt.revision[:12]}")
    for target in result.verified:
        click.echo(
            f"verified:       {target.to}: {target.files} "
            f"files{', fresh download asked and answered' if target.deep else ''}"
        )


def outcomes(ended: Sequence[Outcome]) -> None:
    """One line a release, then what is to be done about those that failed."""
    rows = [
        (
            one.name,
            one.state,
            "; ".join(_score(metric, *values) for metric, values in one.scores.items()),
            "\n".join(one.links) if one.state == "done" else one.message,
        )
        for one in ended
    ]
    table(
        f"{sum(one.state == 'done' for one in ended)} of {len(ended)} releases are done",
        ("release", "state", "scores", "where it is, or what is wrong"),
        rows,
        styles=["green" if one.state == "done" else "red" for one in ended],
    )
    for one in ended:
        if one.state != "done":
            click.echo(f"{one.name}: {one.remedy}")


def _score(metric: str, base: float | None, score: float) -> str:
    return f"{metric} {score:.1%}" if base is None else f"{metric} {base:.1%} -> {score:.1%}"


def prepared(result: PreparedData) -> None:
    """What `hubkit prepare` found and wrote."""
    report = result.report
    if report.problems:
        rows = [(p.title, f"{p.count:,}", p.examples[0], p.remedy) for p in report.problems]
        table("left out", ("what", "records", "for example", "what to do"), rows)
    if report.fixes:
        table(
            "repaired",
            ("what was done", "records"),
            [(what, f"{count:,}") for what, count in report.fixes.items()],
        )
    found = [
        ("records", f"{report.records:,} of {report.rows:,} valid"),
        (
            "pictures",
            f"{report.pictures:,}"
            + (f", {report.same:,} of them the same under two names" if report.same else ""),
        ),
        ("repeated records", f"{report.repeated:,}"),
    ]
    found += [(f"pictures: {what}", f"{count:,}") for what, count in report.converted.items()]
    if report.shared:
        found.append(
            ("held out, sharing a picture or text with training", f"{report.shared.records:,}")
        )
    if report.lengths:
        lengths = report.lengths
        found.append(
            (
                "tokens of a record",
                f"{lengths.least:,} to {lengths.most:,}, median {lengths.median:,}",
            )
        )
        if lengths.limit:
            found.append(
                (
                    f"longer than {lengths.limit:,} tokens",
                    f"{lengths.over:,}, {lengths.unanswered:,} would lose an answer",
                )
            )
    if result.terms.restrictions:
        found.append(("terms", ", ".join(result.terms.restrictions)))
    table(report.name, ("what", "found"), found)
    for note in report.notes:
        click.echo(note)
    if result.folder:
        click.echo(
            f"{result.train:,} records to train on, {result.holdout:,} held out: {result.folder}"
        )
        click.echo(f"images: {result.images}; report: {result.folder / 'report.html'}")
