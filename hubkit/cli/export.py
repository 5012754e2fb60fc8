"""`hubkit export`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping, where


@click.command("export")
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--exporter", default="gguf", show_default=True, help="The plugin that writes.")
@where
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the exporter: type=q8_0.",
)
@as_json
def command(
    folder: Path,
    out: Path,
    exporter: str,
    environment: str,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the model in FOLDER in another form, such as GGUF, to OUT.

    `hubkit smoke OUT --engine llama_cpp` then asks it.
    """
    from ..api.variants import export
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = export(
            folder,
            out,
            exporter=exporter,
            environment=environment,
            options=mapping(options),
            reporter=report,
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
        return
    for name in result.files:
        click.echo(f"{out / name}: {(out / name).stat().st_size:,} bytes")
