"""uvicorn's HTTP protocol, with the connection within reach of the application: faults cut it."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "hubkit.connection"


class Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app: Any = self.app

        async def with_connection(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {EXTENSION: transport}
            with suppress(LocalProtocolError):  # uvicorn has refused the request's body by itself
                await app(scope, receive, send)

        self.app = with_connection


def reset(transport: asyncio.Transport) -> None:
    """Ends the connection so that the other side sees it reset, not closed."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
