"""An OpenAI-compatible server on the standard library: one model, one answer at a time, until
hubkit asks it to stop."""

from __future__ import annotations

import contextlib

from hubkit.sdk import CancelledError, Run, ServeInput, ServeOutput, UsageError
from hubkit.sdk.codec import decode
from hubkit.sdk.files import read_text

from ..options import Options

SECONDS_BETWEEN_CHECKS = 0.1


def serve(job: ServeInput, run: Run) -> ServeOutput:
    """The port is taken first and opened when the model has been loaded: who can connect gets
    answers.

    Raises:
        EnvironmentFailure: the port is taken, or the device or its memory is missing.
        UsageError: the key file cannot be used.
    """
    from ..loading import load
    from .generator import Generator
    from .server import listen

    key = _key(job)
    with listen(job.host, job.port) as server:
        loaded = load(
            job.native,
            job.model,
            job.vision,
            decode(Options, job.options, "options of engine transformers"),
        )
        with (
            Generator(loaded) as generator,
            server.answering(generator, job.name, key) as thread,
        ):
            run.note(f"{job.name} answers on port {server.server_address[1]}")
            with contextlib.suppress(CancelledError):
                while thread.is_alive():
                    run.check_cancelled()
                    thread.join(SECONDS_BETWEEN_CHECKS)
        return ServeOutput(requests=generator.answered)


def _key(job: ServeInput) -> str:
    if job.api_key_file is None:
        return ""
    try:
        key = read_text(job.api_key_file, 1 << 16).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the file of the API key cannot be read: {error}",
            "name a file that holds the key alone",
        ) from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{job.api_key_file} holds no API key", "write one line of letters and digits into it"
        )
    return key
