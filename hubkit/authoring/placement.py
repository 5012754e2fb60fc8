"""A trainer or an engine in the environment that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..environments import CURRENT, Environment, call, health, resolve
from ..sdk import (
    CancelledError,
    EnvironmentFailure,
    Run,
    ServeInput,
    ServeOutput,
    SilentRun,
    json_text,
)
from ..sdk.codec import decode
from ..sdk.install import install
from ..sdk.testing import ConformanceError


class Undrivable(Exception):
    """The step cannot be run, for a reason that is not the plugin's fault."""


def fitting(plugin: Any, asked: Environment | None, folder: Path) -> Environment:
    """The environment that was asked for, or this interpreter, with what the plugin requires.

    Raises:
        Undrivable: nobody said where, and this interpreter lacks something: says how to go on.
        ConformanceError: the one that was asked for lacks something, or cannot be had.
    """
    try:
        where = resolve(asked or CURRENT, plugin, SilentRun())
        health(plugin, where, folder)
    except EnvironmentFailure as error:
        if asked is not None:
            raise ConformanceError(f"{error.message} ({error.remedy})") from None
        raise Undrivable(f"{_how_to_go_on(plugin)}\n{error.message}") from None
    return where


def _how_to_go_on(plugin: Any) -> str:
    again = f"`hubkit plugins check {plugin.name} --environment"
    if plugin.requirements.locks:
        return f"needs its environment: `hubkit env build {plugin.name}`, then {again} locked`"
    extra = plugin.requirements.extra
    here = f"`{install(extra)}`, or " if extra else ""
    return (
        f"needs packages that are not here: {here}{again} PATH` with an interpreter that has them"
    )


def there(plugin: Any, environment: Environment, folder: Path) -> Any:
    """`plugin` with each of its calls made in a worker of `environment`."""

    def method(name: str) -> Any:
        def made(self: Any, job: Any, run: Run) -> Any:
            return call(
                plugin, name, job, environment=environment, run=run, folder=folder / job.output.name
            )  # type: ignore

        return made

    def serve(self: Any, job: ServeInput, run: Run) -> ServeOutput:
        """A server ends by being cancelled: its last word is in the file."""
        place = folder / job.output.name
        try:
            return call(plugin, "serve", job, environment=environment, run=run, folder=place)
        except CancelledError:
            answer = json_text.load(place / "output.json")
            return decode(ServeOutput, answer.get("result"), "the server's last word")

    methods = {
        **{name: method(name) for name in ("train", "foresee", "generate", "measure", "export")},
        "serve": serve,
    }
    own = {name: function for name, function in methods.items() if hasattr(plugin, name)}
    return type(type(plugin).__name__, (type(plugin),), own)()
