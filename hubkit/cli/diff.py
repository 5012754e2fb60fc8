"""`hubkit diff`"""

from __future__ import annotations

import click

from ._options import as_json, mapping

DIFFERENT = 6
"""The exit code for two that differ: no error, and not the 1 of a bug."""


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="[HUB.]KEY=VALUE",
    help="An option of the hubs, or of one.",
)
@as_json
def command(a: str, b: str, options: tuple[str, ...], as_json: bool) -> None:
    """Compare names, sizes and sha256 of A and B, each a release folder or
    SCHEME:TARGET[@REVISION].

    Exits with 6 when they differ.
    """
    from ..api.hubs import diff
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        found = diff(a, b, options=mapping(options), reporter=report)
    if as_json:
        from ..sdk.codec import encode

        emit("result", {**encode(found), "same": found.ok})
    else:
        from ..sdk.text import one_line

        lines = [f"only in A: {one_line(path)}" for path in found.missing]
        lines += [f"only in B: {one_line(path)}" for path in found.extra]
        lines += [
            f"differs:   {one_line(one.path)}: A {one.expected}, B {one.found}"
            for one in found.different
        ]
        lines += [
            f"unknown:   {one_line(path)}: B does not give its sha256" for path in found.unknown
        ]
        click.echo("\n".join(lines) or "the same files, byte for byte")
    if not found.ok:
        raise click.exceptions.Exit(DIFFERENT)
