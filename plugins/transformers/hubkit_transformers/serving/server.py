"""The HTTP server: a listening socket, and a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from hubkit.sdk import EnvironmentFailure

from .generator import Generator
from .handler import Handler
from .service import Service

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Server(Service):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler, bind_and_activate=False)
        self.names = LOOPBACK if host in ("127.0.0.1", "localhost", "::1") else frozenset()

    def server_bind(self) -> None:
        """HTTPServer's own asks the name service for the host's full name, which can take seconds
        without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no error; another error is logged."""
        import sys

        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def answering(self, generator: Generator, name: str, key: str) -> Iterator[threading.Thread]:
        """Opens the port and answers in a thread until the block ends."""
        self.generator, self.name, self.key = generator, name, key
        self.server_activate()
        thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True
        )
        thread.start()
        try:
            yield thread
        finally:
            self.shutdown()
            thread.join()


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[Server]:
    """A server that has its port, not open yet.

    Raises:
        EnvironmentFailure: the port cannot be had.
    """
    server = Server(host, port)
    try:
        try:
            server.server_bind()
        except OSError as error:
            raise EnvironmentFailure(
                f"cannot listen on {host} port {port}: {error.strerror}", "choose another port"
            ) from None
        yield server
    finally:
        server.server_close()
