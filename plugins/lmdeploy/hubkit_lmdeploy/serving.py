"""LMDeploy's OpenAI-compatible server as a child process: started, awaited, watched, stopped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from hubkit.sdk import (
    CancelledError,
    EnvironmentFailure,
    PluginError,
    Run,
    ServeInput,
    ServeOutput,
    UsageError,
)

from .options import Options
from .remote_code import shown

SECONDS_TO_START = 900.0
SECONDS_TO_STOP = 8.0
SECONDS_BETWEEN_CHECKS = 0.2
TAIL_LINES = 15
_ANSWERED = re.compile(r'"POST /v1/(?:chat/)?completions HTTP/[\d.]+" 200')


def serve(job: ServeInput, options: Options, run: Run) -> ServeOutput:
    """Serves until `run` is cancelled.

    Raises:
        EnvironmentFailure: there is no GPU, or the server is not ready in time.
        PluginError: the server ended by itself; the message has the end of its log.
    """
    from .loading import prepare

    backend = prepare(job.model, options)
    settings = job.output / "server.json"
    settings.write_text(json.dumps(server_settings(job, options, backend)), "utf-8")
    log = job.output / "server.log"
    with shown(job.model, options.allow_remote_code) as model, log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "hubkit_lmdeploy.server", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=model.parent,
        )
        try:
            await_health(server, job, log, run)
            run.note(
                f"{job.name} is served at http://{_address(job.host)}:{job.port}/v1 by LMDeploy "
                f"({backend})"
            )
            while server.poll() is None:
                run.check_cancelled()
                sleep(SECONDS_BETWEEN_CHECKS)
            raise PluginError(
                f"the server ended by itself with code {server.returncode}:\n{tail(log)}",
                f"see {log}",
            )
        except CancelledError:
            pass
        finally:
            stop(server)
    return ServeOutput(answered(log.read_text("utf-8", "replace").splitlines()))


def server_settings(job: ServeInput, options: Options, backend: str) -> dict[str, Any]:
    """What the child reads: the key's file and not the key, so that neither arguments nor files of
    ours hold it."""
    return {
        "model": job.model.name,
        "name": job.name,
        "host": job.host,
        "port": job.port,
        "api_key_file": None if job.api_key_file is None else str(job.api_key_file),
        "backend": backend,
        "options": {
            name: getattr(options, name)
            for name in (
                "dtype",
                "tp",
                "session_length",
                "batch_size",
                "cache_share",
                "chat_template",
                "allow_remote_code",
            )
        },
    }


def await_health(server: subprocess.Popen[bytes], job: ServeInput, log: Path, run: Run) -> None:
    """Returns when the server answers `/health` with 200.

    Raises:
        PluginError: it ended before.
        EnvironmentFailure: it took longer than SECONDS_TO_START.
    """
    address = f"http://{_address(job.host)}:{job.port}/health"
    end = monotonic() + SECONDS_TO_START
    while monotonic() < end:
        run.check_cancelled()
        if server.poll() is not None:
            text = tail(log)
            if "address already in use" in text:
                raise UsageError(f"port {job.port} of {job.host} is in use", "choose another port")
            raise PluginError(
                f"the server ended with code {server.returncode} while it started:\n{text}",
                f"see {log}",
            )
        if healthy(address):
            return
        sleep(SECONDS_BETWEEN_CHECKS)
    raise EnvironmentFailure(
        f"the server was not ready after {SECONDS_TO_START:.0f} s:\n{tail(log)}", f"see {log}"
    )


def healthy(address: str) -> bool:
    """Without a proxy: the server is on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """Asks the server to finish, and ends it when it does not."""
    if server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def answered(log: Iterable[str]) -> int:
    """How many completions the server's access log says it gave."""
    return sum(1 for line in log if _ANSWERED.search(line))


def tail(log: Path) -> str:
    lines = [
        line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()
    ]
    return "\n".join(f"    {line[:300]}" for line in lines[-TAIL_LINES:])


def _address(host: str) -> str:
    """Where to ask a server that listens at `host`."""
    plain = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{plain}]" if ":" in plain else plain
