"""A model folder served over OpenAI's API by an engine in its worker: started, waited for, watched,
and stopped cleanly."""

from __future__ import annotations

import contextlib
import http.client
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hubkit.sdk import json_text
from hubkit.sdk.files import read_text

from ..environments import Environment, EnvironmentLike, call
from ..environments.verdict import tail
from ..errors import CancelledError, EnvironmentFailure, HubkitError, PluginError, UsageError
from ..registry.plugins import plugins
from ..reporting import SilentReporter
from ..sdk import Run, ServeInput, ServingEngine
from ..weights.model import open_model
from .questions import view_for
from .servers import address, listed_name

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_TO_START = 900.0
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_ANSWER = 5.0


@dataclass(frozen=True)
class Serving:
    """A server that answers: the API is at `url` + `path`, the model's `name` in it, the key to
    bear ("" for none). One that hubkit did not start has no worker."""

    url: str
    name: str
    api_key: str = field(repr=False)
    _worker: _Worker | None = field(repr=False)
    path: str = "/v1"

    @property
    def elsewhere(self) -> bool:
        """Whether what is asked leaves this machine."""
        return self._worker is None and urlsplit(self.url).hostname not in LOOPBACK

    def check(self) -> None:
        """Raises the error that ended the server, when it has ended."""
        if self._worker is not None:
            self._worker.check()

    def wait(self) -> None:
        """Returns never: raises the error that ended the server, or what interrupts the waiting
        (Ctrl-C, SIGTERM)."""
        while True:
            self.check()
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextlib.contextmanager
def serve(
    folder: str | Path,
    *,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    options: Mapping[str, Any] | None = None,
    name: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    api_key: str | None = None,
    deadline: float = SECONDS_TO_START,
    reporter: Run | None = None,
) -> Iterator[Serving]:
    """Serves the model in `folder` until the block ends.

    Args:
        name: the model's name in the API; the folder's by default.
        port: 0 takes a free one.
        api_key: what clients must bear; without one only this machine is served.
        deadline: in seconds, from the worker's start to its first answer.

    Raises:
        UsageError: no model, an engine that cannot serve, or a host beyond this machine without a
            key.
        EnvironmentFailure: the server did not start, with the last lines of its log.
    """
    if host not in LOOPBACK and not api_key:
        raise UsageError(
            f"{host} is reached from elsewhere, and there is no API key",
            "give one (--api-key-file)",
        )
    run, where = reporter or SilentReporter(), Environment.parse(environment)
    model = open_model(Path(folder).absolute(), where)
    plugin = _serving_engine(engine)
    with tempfile.TemporaryDirectory(prefix="hubkit-serve-") as temporary:
        work = Path(temporary)
        (work / "output").mkdir()
        job = ServeInput(
            model=model.folder,
            native=view_for(engine, model, work / "native", run),
            vision=model.vision,
            name=name or model.folder.resolve().name,
            host=host,
            port=port or _free_port(host),
            output=work / "output",
            options=options or {},
            api_key_file=_key_file(work / "key", api_key),
        )
        with _Worker(plugin, job, where, run, work / "worker") as worker:
            _await(worker, job, api_key or "", deadline, run)
            yield Serving(f"http://{_address(host)}:{job.port}", job.name, api_key or "", worker)


@contextlib.contextmanager
def answering(
    folder: str | Path,
    *,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    options: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    reporter: Run | None = None,
) -> Iterator[Serving]:
    """As `serve`; an engine that asks a server that runs already gives that one, if it lists the
    model.

    Raises:
        EnvironmentFailure: the server's address is not known.
        RemoteError: it does not answer.
        UsageError: it has no such model; and what `serve` raises.
    """
    place = address(engine, options or {})
    if place is not None:
        model = open_model(Path(folder).absolute())
        name = listed_name(engine, place, model.folder.name)
        path = urlsplit(place.url).path
        yield Serving(place.url.removesuffix(path), name, place.key, None, path)
        return
    with serve(
        folder,
        engine=engine,
        environment=environment,
        options=options,
        api_key=api_key,
        reporter=reporter,
    ) as serving:
        yield serving


def read_key(file: Path) -> str:
    """The API key in `file`. Raises UsageError when it holds something else."""
    try:
        key = read_text(file, 1 << 16).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}", "name a file that holds the key and nothing else"
        ) from None
    if len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{file} does not hold an API key",
            "write 8 or more letters, digits, '-' or '_' into it, without spaces",
        )
    return key


class _Worker:
    """The engine's call in a thread; the block's end asks it to stop and waits."""

    def __init__(
        self,
        plugin: ServingEngine,
        job: ServeInput,
        environment: Environment,
        run: Run,
        folder: Path,
    ) -> None:
        self.folder, self._run, self._name = folder, run, job.name
        self._who, self._stopping = f"engine {plugin.name}", threading.Event()
        self._error: HubkitError | CancelledError | None = None
        arguments = (plugin, job, environment, _Stoppable(run, self._stopping))
        self._thread = threading.Thread(
            target=self._work, args=arguments, name="serving", daemon=True
        )

    def _work(
        self, plugin: ServingEngine, job: ServeInput, environment: Environment, run: Run
    ) -> None:
        try:
            call(
                plugin,
                "serve",
                job,
                environment=environment,
                run=run,
                folder=self.folder,
            )
        except (HubkitError, CancelledError) as error:
            self._error = error

    def check(self) -> None:
        if not self._thread.is_alive():
            raise self._error or PluginError(
                f"{self._who}: the server ended by itself\n{self.log()}".rstrip(),
                "start it again; its log is above",
            )

    def log(self) -> str:
        path = self.folder / "stderr.log"
        return tail(path) if path.is_file() else ""

    def __enter__(self) -> _Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        with suppress(OSError, ValueError, KeyError, TypeError):
            answers = json_text.load(self.folder / "output.json")["result"]["requests"]
            counted = f" after {answers} answers" if answers >= 0 else ""
            self._run.note(f"stopped {self._name}{counted}")


class _Stoppable:
    """The Run of a server: hands on what it says, and is cancelled when the server is to stop."""

    def __init__(self, run: Run, stopping: threading.Event) -> None:
        self.progress, self.note = run.progress, run.note
        self._stopping = stopping

    def check_cancelled(self) -> None:
        if self._stopping.is_set():
            raise CancelledError("the server was asked to stop", "start it again")


def _serving_engine(name: str) -> ServingEngine:
    plugin: ServingEngine = plugins().get("engine", name)
    if not callable(getattr(plugin, "serve", None)):
        raise UsageError(
            f"engine {name} cannot serve", "choose one that can: transformers, or lmdeploy on a GPU"
        )
    return plugin


def _key_file(path: Path, key: str | None) -> Path | None:
    if not key:
        return None
    path.touch(0o600)
    path.write_text(key, "utf-8")
    return path


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, 0), family=family) as taken:
            return int(taken.getsockname()[1])
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot listen on {host}: {error.strerror}", "choose another --host"
        ) from None


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _await(worker: _Worker, job: ServeInput, key: str, deadline: float, run: Run) -> None:
    """Returns when the server is healthy and lists the model under its name."""
    started = time.monotonic()
    run.note(f"starting {job.name}")
    while not _healthy(job, key):
        worker.check()
        run.check_cancelled()
        if time.monotonic() - started > deadline:
            lines = worker.log()
            raise EnvironmentFailure(
                f"{job.name}: the server did not answer within {deadline:g} s\n{lines}".rstrip(),
                "allow more time, or see in the log's last lines why it does not come up",
            )
        time.sleep(SECONDS_BETWEEN_LOOKS)
    worker.check()


def _healthy(job: ServeInput, key: str) -> bool:
    """Whether it is our server that answers: another program may have taken the port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(job.host, job.host)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        if _get(host, job.port, "/health", {})[0] != 200:
            return False
        status, body = _get(host, job.port, "/v1/models", headers)
        models = json_text.parse(body)["data"]
        return status == 200 and job.name in [model["id"] for model in models]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False


def _get(host: str, port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS_TO_ANSWER)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20)
    finally:
        connection.close()
