"""llama.cpp's server in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, UsageError

from .options import Options


def find(folder: Path) -> tuple[Path, Path]:
    """The model and its mmproj.

    Raises:
        UsageError: there is not exactly one of each.
    """
    files = sorted(path for path in folder.glob("*.gguf") if path.is_file())
    eyes = [path for path in files if path.name.startswith("mmproj")]
    models = [path for path in files if path not in eyes]
    if len(models) != 1 or len(eyes) != 1:
        raise UsageError(
            f"{folder.name} holds {len(models)} GGUF models and {len(eyes)} mmproj files; one of "
            "each is expected",
            "write them with `hubkit export FOLDER OUT --exporter gguf`, and name OUT",
        )
    return models[0], eyes[0]


def start(
    folder: Path, options: Options, *, name: str, key: str, host: str = "127.0.0.1", port: int = 0
) -> Any:
    """A server that listens at its `listening_address`, until it is deleted.

    Raises:
        EnvironmentFailure: llama.cpp does not load the files.
    """
    import xllamacpp

    model, mmproj = find(folder)
    given = xllamacpp.CommonParams()
    given.model.path, given.mmproj.path = str(model), str(mmproj)
    given.model_alias, given.api_keys = {name}, [key] if key else []
    given.hostnames, given.port = [host], port
    given.n_ctx, given.n_parallel = options.context, 1
    given.n_gpu_layers = options.gpu_layers
    given.use_jinja, given.warmup, given.cache_prompt = True, False, False
    given.verbosity = 1
    if options.threads:
        given.cpuparams.n_threads = given.cpuparams_batch.n_threads = options.threads
    try:
        return xllamacpp.Server(given)
    except (RuntimeError, ValueError) as error:
        raise EnvironmentFailure(
            f"llama.cpp does not load {model.name} with {mmproj.name}: {error}",
            "see the log above it; write the files again with `hubkit export`",
        ) from None
