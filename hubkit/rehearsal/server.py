"""Runs the hub in a thread of this process, for rehearsals and tests."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..sdk.errors import EnvironmentFailure
from ..sdk.gitcli import require_git
from ..sdk.install import install

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Running:
    """A hub that answers at `url`; `token` may write. `hub` is a `hubkit.rehearsal.hub.Hub`."""

    url: str
    token: str = field(repr=False)
    hub: Any = field(repr=False)

    def add_token(self, user: str, *, write: bool = True) -> str:
        """Another user's token."""
        return str(self.hub.tokens.add(user, write=write))

    def revoke(self, token: str) -> None:
        """From now on `token` is answered with 401."""
        self.hub.tokens.revoke(token)

    def create(self, repository: str, *, private: bool = True) -> None:
        """An empty repository `organisation/name`, without a first commit."""
        self.hub.create(repository, self.hub.tokens.user(self.token), private=private)

    def git_url(self, repository: str) -> str:
        return f"{self.url}/{repository}.git"


@contextmanager
def serve(
    data: Path,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    token: str | None = None,
    user: str = "rehearsal",
    faults: Any = None,
    **limits: int,
) -> Iterator[Running]:
    """A hub over `data` at a free port (or `port`) until the block ends. `limits` are those of
    `Hub`; `faults` is a `hubkit.rehearsal.faults.Faults`.

    Raises:
        EnvironmentFailure: a package or git is missing, or the port is taken.
    """
    require_git()
    try:
        import uvicorn

        from .app import make_app
        from .hub import Hub
        from .transport import Protocol
    except ImportError as error:
        raise EnvironmentFailure(
            f"the rehearsal hub needs the package {error.name}",
            f"install the hub's packages: {install('rehearsal')}",
        ) from None
    try:
        hub = Hub(data, **limits)
    except OSError as error:
        raise EnvironmentFailure(
            f"the hub cannot keep its data in {data}: {error.strerror}", "choose another --data"
        ) from None
    try:
        listener = _listen(host, port)
    except EnvironmentFailure:
        hub.close()
        raise
    token = hub.tokens.add(user, token=token)
    named = f"[{host}]" if ":" in host else host
    app: Any = make_app(hub, _LOOPBACK if named in _LOOPBACK else ())
    if faults is not None:
        app = faults.around(app)
    settings: Mapping[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "ws": "none",
        "proxy_headers": False,
    }
    config = uvicorn.Config(
        app,
        http=Protocol,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        backlog=256,
        **settings,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="rehearsal-hub", daemon=True
    )
    thread.start()
    try:
        _wait(server, thread)
        yield Running(f"http://{named}:{listener.getsockname()[1]}", token, hub)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        hub.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256
        )
    except OSError as error:
        raise EnvironmentFailure(
            f"the hub cannot listen on {host} port {port}: {error.strerror}",
            "choose another --port",
        ) from None


def _wait(server: Any, thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise EnvironmentFailure("the hub did not start", "see its log")
        time.sleep(0.005)
