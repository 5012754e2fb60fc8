"""A release as a file for SkyPilot or Kubernetes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import UsageError
from ..pipeline.spec.file import load
from ..pipeline.spec.paths import paths_of
from ..pipeline.stages.train import check_nodes
from ..scheduling.manifests import FORMATS, Launch
from ..sdk.excerpt import did_you_mean

JOINED = "/tmp/hubkit"
"""The run folder of a node that is not the first; nothing is kept of it."""


def launch(
    spec: str | Path,
    format: str,
    *,
    image: str,
    gpu: str = "",
    claim: str = "",
    overrides: Sequence[str] = (),
) -> str:
    """YAML that runs a release up to its evaluation in `image`, with what `where` asks for; the
    stages after it, which need tokens and no hardware, are run by `hubkit release` where you are.

    Args:
        format: `sky` (a SkyPilot task), `kubernetes` (an indexed Job) or `kubeflow` (a TrainJob).
        image: a container image with hubkit, such as the one of hubkit's Dockerfile.
        gpu: the kind of GPU, for SkyPilot: `H200`.
        claim: the PersistentVolumeClaim that holds the release file's folder, for Kubernetes.

    Raises:
        SpecError: the release file is not valid.
        UsageError: an option is missing or unknown, or the release reads what would not be there.
    """
    if format not in FORMATS:
        near = did_you_mean(format, tuple(FORMATS))
        raise UsageError(f"there is no format {format!r}{near}", f"one of: {', '.join(FORMATS)}")
    path = Path(spec).resolve()
    loaded, folder = load(path, overrides), path.parent
    outside = {
        key: one.resolve()
        for key, one in paths_of(loaded).items()
        if not one.resolve().is_relative_to(folder)
    }
    command = ["hubkit", "release", path.name, "--where", "local"]
    given = [*overrides, *(f"{key}={one}" for key, one in outside.items())]
    settings = [word for one in given for word in ("--set", one)]
    where = loaded.where_of(loaded.heavy[0])
    check_nodes(loaded, shared=False)
    launched = Launch(
        name=loaded.name,
        folder=folder,
        outside=_topmost(outside.values()),
        command=(*command, "--until", "evaluate", *settings),
        joining=(*command, "--join", "--workdir", JOINED, *settings),
        image=image,
        needs=where.needs(),
        gpu=gpu,
        claim=claim,
    )
    made = FORMATS[format](launched)
    back = f"#   rsync -a CLUSTER:sky_workdir/.hubkit {folder}/\n" if format == "sky" else ""
    slurm = [f"where.{key}" for key in ("partition", "flags", "python") if getattr(where, key)]
    left = f"# Left out, since Slurm alone knows it: {', '.join(slurm)}\n" if slurm else ""
    head = f"# {path.name} up to its evaluation. Afterwards:\n{back}#   hubkit release {path}\n"
    return f"{head}{left}{_yaml(made)}"


def _topmost(paths: Any) -> tuple[Path, ...]:
    """Without those below another."""
    found = sorted(set(paths))
    return tuple(one for one in found if not any(one.is_relative_to(o) for o in found if o != one))


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, one line a line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(documents: list[dict[str, Any]]) -> str:
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
    )
    return text
