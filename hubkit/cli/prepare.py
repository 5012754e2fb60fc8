"""`hubkit prepare`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import FOLDER, as_json, mapping
from .completion import files, plugins


class _Holdout(click.ParamType[Any]):
    name = "COUNT|SHARE|FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        for kind in (int, float):
            try:
                number = kind(value)
            except (TypeError, ValueError):
                continue
            if number < 0 or (kind is float and number >= 1):
                self.fail(f"{value} is neither a count nor a share below 1", param, ctx)
            return number
        return Path(value)


@click.command("prepare")
@click.argument("source", metavar="SOURCE", shell_complete=files)
@click.argument("out", type=FOLDER, required=False)
@click.option(
    "--format",
    default="llava_json",
    show_default=True,
    shell_complete=plugins("dataset"),
    help="The plugin that reads the dataset.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the format: choices=tutorial.",
)
@click.option(
    "--from",
    "from_",
    metavar="hf:ORG/NAME",
    help="Download SOURCE, a file of that dataset or `.`, from the hub.",
)
@click.option(
    "--endpoint", default="", metavar="URL", help="The hub's address. [default: the client's own]"
)
@click.option("--images", type=FOLDER, help="Where the images are. [default: beside the file]")
@click.option(
    "--look",
    type=click.Choice(["open", "exist"]),
    default="open",
    show_default=True,
    help="Decode the images, or only look for them.",
)
@click.option("--fix", is_flag=True, help="Repair what is safe to repair, and say what was done.")
@click.option("--skip", is_flag=True, help="Leave out records that have a problem.")
@click.option(
    "--holdout",
    type=_Holdout(),
    default="0",
    help="Records to keep for evaluation: a count, a share, or a file.",
)
@click.option(
    "--group",
    type=click.Choice(["record", "image"]),
    default="record",
    show_default=True,
    help="image: keep records that share a picture on one side.",
)
@click.option("--seed", default=0, show_default=True, help="Decides what is held out.")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Write each training record this many times.",
)
@click.option(
    "--base", type=FOLDER, help="The model to train: lengths are counted in its tokens and tiles."
)
@click.option(
    "--max-length",
    type=click.IntRange(1),
    help="Count the records that have more tokens than this.",
)
@click.option("--copy", is_flag=True, help="Copy the pictures into OUT/images.")
@click.option(
    "--license", "license_", default="", help="The data's licence, when they do not say it."
)
@click.option(
    "--report",
    type=FOLDER,
    help="Also write report.html here, even when the data are refused.",
)
@click.option("--dry-run", is_flag=True, help="Validate only; OUT is not needed.")
@click.option(
    "--generate",
    metavar="URL",
    help="SOURCE is a folder of images: have questions and answers made by an OpenAI-compatible "
    "endpoint.",
)
@click.option("--model", default="", help="The endpoint's model. [default: the only one it lists]")
@click.option(
    "--template",
    type=FOLDER,
    help="The prompt for --generate, a Jinja file. [default: hubkit's own]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Questions for each image.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Requests at once.",
)
@click.option(
    "--max-requests", type=click.IntRange(1), help="Stop --generate after this many requests."
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    help="Stop --generate after this many tokens, in prompts and answers.",
)
@click.option(
    "--api-key-env", default="", metavar="NAME", help="The variable that holds the endpoint's key."
)
@as_json
def command(source: str, out: Path | None, **given: Any) -> None:
    """Check the records and images of SOURCE, split them, and write LLaVA JSON Lines with a report
    to the folder OUT.

    A release runs the same checks. Nothing is written when a record has a problem, unless
    --fix repairs it or --skip leaves it out.
    """
    from ..errors import UsageError
    from ._reporters import emit, reporter

    if out is None and not given["dry_run"]:
        raise UsageError(
            "OUT is missing", "name the folder to write, or validate only with --dry-run"
        )
    with reporter(given["as_json"]) as report:
        result = (
            _generated(source, out, given, report)
            if given["generate"]
            else _prepared(source, out, given, report)
        )
    if given["as_json"]:
        from ..sdk.codec import encode

        emit("result", encode(result))
    elif given["generate"]:
        click.echo(
            f"{out}: {result.records:,} records of {result.images:,} images, {result.requests:,} "
            "requests"
        )
        click.echo(f"look through {out}/review.html before you train on them")
    else:
        from ._show import prepared

        prepared(result)


def _prepared(source: str, out: Path | None, given: dict[str, Any], report: Any) -> Any:
    from ..api.data import PrepareSettings, prepare

    place = (
        f"{given['from_']}/{source}"
        if given["from_"] and source != "."
        else given["from_"] or source
    )
    settings = PrepareSettings(
        format=given["format"],
        options=mapping(given["options"]),
        images=given["images"],
        fix=given["fix"],
        skip=given["skip"],
        repeat=given["repeat"],
        holdout=given["holdout"],
        group=given["group"],
        seed=given["seed"],
        base=given["base"],
        max_length=given["max_length"] or 0,
        look=given["look"],
        copy=given["copy"],
        license=given["license_"],
        endpoint=given["endpoint"],
    )
    return prepare(
        place, None if given["dry_run"] else out, settings, report=given["report"], reporter=report
    )


def _generated(source: str, out: Path | None, given: dict[str, Any], report: Any) -> Any:
    from ..api.data import Endpoint, Making, generate
    from ..errors import UsageError

    if out is None:
        raise UsageError("OUT is missing", "name the folder to write")
    endpoint = Endpoint(given["generate"], given["model"], given["api_key_env"])
    making = Making(
        rounds=given["rounds"],
        template=given["template"],
        concurrency=given["concurrency"],
        max_requests=given["max_requests"],
        max_tokens=given["max_tokens"],
    )
    return generate(source, out, endpoint, making, reporter=report)
