"""`hubkit launch`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER


@click.command("launch")
@click.argument("spec", type=FOLDER, default="release.yaml")
@click.option(
    "--print",
    "format",
    required=True,
    metavar="FORMAT",
    help="`sky`: a SkyPilot task; `kubernetes`: an indexed Job; `kubeflow`: a TrainJob.",
)
@click.option("--image", required=True, help="A container image with hubkit.")
@click.option("--gpu", default="", help="The kind of GPU, for SkyPilot: H200.")
@click.option(
    "--claim", default="", help="The PersistentVolumeClaim that holds SPEC's folder, at its path."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a value of SPEC."
)
def command(
    spec: Path, format: str, image: str, gpu: str, claim: str, overrides: tuple[str, ...]
) -> None:
    """Print SPEC as a file for SkyPilot or Kubernetes, with what its `where` asks for.

    It runs the release up to its evaluation; packaging and publishing are left to `hubkit release`,
    so that no token travels.
    """
    from ..api.launch import launch

    text = launch(spec, format, image=image, gpu=gpu, claim=claim, overrides=overrides)
    click.echo(text, nl=False)
