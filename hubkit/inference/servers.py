"""Servers that run already, for engines that ask one instead of loading the model: their address
and key come from the environment, and are in no file of a release."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import EnvironmentFailure, RemoteError, UsageError
from ..registry.plugins import plugins
from ..sdk import Server, ServerOptions
from ..sdk.chat_api import KEY_ENV, ApiFailure, ChatApi, url_problem
from ..sdk.codec import decode


@dataclass(frozen=True)
class Address:
    """`key` is empty for a server without one; `models` as in ServerOptions."""

    url: str
    key: str = field(repr=False)
    models: Mapping[str, str] = field(default_factory=dict)


def asks_a_server(engine: str) -> bool:
    return issubclass(plugins().get("engine", engine).Options, ServerOptions)


def address(engine: str, options: Mapping[str, Any]) -> Address | None:
    """Where `engine` asks; None for one that loads the model itself.

    Raises:
        EnvironmentFailure: a variable that must hold the address or the key does not.
    """
    plugin = plugins().get("engine", engine)
    if not asks_a_server(engine):
        return None
    given: Any = decode(plugin.Options, options, f"options of engine {engine}")
    url, key = (os.environ.get(name, "").strip() for name in (given.url_env, given.key_env))
    if not url:
        raise EnvironmentFailure(
            f"engine {engine} asks a server, and {given.url_env} does not say which",
            f"export {given.url_env} with its address, such as http://127.0.0.1:23333/v1; another "
            "variable is named by the option url_env",
        )
    if problem := url_problem(url):
        raise EnvironmentFailure(
            f"{given.url_env} {problem} (its value is not shown)",
            "write for example http://127.0.0.1:23333/v1",
        )
    if not key and given.key_env != KEY_ENV:
        raise EnvironmentFailure(
            f"the variable {given.key_env}, named by the option key_env, is not set",
            f"export {given.key_env} with the server's key",
        )
    if key and not all("!" <= letter <= "~" for letter in key):
        raise EnvironmentFailure(
            f"the key in {given.key_env} has a character that no key has (it is not shown)",
            "copy it again, without blanks, line breaks or quotes",
        )
    return Address(url.rstrip("/"), key, given.models)


@contextlib.contextmanager
def server_for(engine: str, options: Mapping[str, Any]) -> Iterator[Server | None]:
    """What a worker of `engine` is told of its server; the key is in a private file until the
    block ends. Raises as `address` does."""
    place = address(engine, options)
    if place is None or not place.key:
        yield None if place is None else Server(place.url)
        return
    with tempfile.TemporaryDirectory(prefix="hubkit-key-") as folder:
        file = Path(folder, "key")
        file.touch(0o600)
        file.write_text(place.key, "utf-8")
        yield Server(place.url, file)


def listed_name(engine: str, place: Address, folder: str) -> str:
    """The name by which the server at `place` has the model of the folder named `folder`.

    Raises:
        RemoteError: the server does not answer.
        UsageError: it does not list that model.
    """
    name = place.models.get(folder, folder)
    try:
        names = sorted(ChatApi(place.url, place.key, 30.0).models())
    except ApiFailure as failure:
        raise RemoteError(str(failure), "is the server running, and the address right?") from None
    if name not in names:
        raise UsageError(
            f"the server has no model {name!r}; it lists: {', '.join(names[:20]) or 'none'}",
            f"serve it under that name, or give engine {engine} the option "
            f"models: {{{folder}: NAME}}",
        )
    return name
