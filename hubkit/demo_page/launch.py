"""Servers, page and web server, started in this order and stopped in reverse."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..environments import EnvironmentLike
from ..errors import EnvironmentFailure, UsageError
from ..inference.serving import Serving, answering
from ..reporting import SilentReporter
from ..sdk import Run
from ..sdk.install import install
from .examples import drawn, from_records
from .release import released

Language = Literal["auto", "en", "zh"]
SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_SSR_MODE": "False",
}


@dataclass(frozen=True)
class Launched:
    """The page at `url`, and the servers behind it: the base first, when there is one."""

    url: str
    servers: tuple[Serving, ...]

    def wait(self) -> None:
        """Returns never: raises the error that ended a server, or what interrupts the waiting
        (Ctrl-C, SIGTERM)."""
        import time

        while True:
            for server in self.servers:
                server.check()
            time.sleep(0.2)


@contextlib.contextmanager
def demo(
    folder: str | Path,
    *,
    compare: str | Path | None = None,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    options: Mapping[str, Any] | None = None,
    examples: str | Path | None = None,
    images: str | Path | None = None,
    language: Language = "auto",
    port: int = 0,
    reporter: Run | None = None,
) -> Iterator[Launched]:
    """Shows the model in `folder`, beside the one in `compare` when that is given, until the block
    ends.

    Args:
        folder: a model's, or a release file: then what that release made, beside its base, with
            examples from what it held out.
        examples: a records file (JSON Lines) with pictures below `images`, the file's folder by
            default.
        language: of the page; `auto` is the browser's.

    Raises:
        EnvironmentFailure: gradio is missing, the port is taken, or a server did not start.
        UsageError: a folder holds no model, a release has none yet, or the examples cannot be
            read.
    """
    run = reporter or SilentReporter()
    if Path(folder).is_file():
        made = released(Path(folder))
        folder, compare = made.model, compare or made.base
        if examples is None:
            examples, images = made.examples, made.images
    with contextlib.ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubkit-demo-")))
        stack.enter_context(_settings({**SETTINGS, "GRADIO_TEMP_DIR": str(temporary / "uploads")}))
        page, web = _room()
        shown = (
            from_records(Path(examples), _images(examples, images))
            if examples
            else drawn(temporary)
        )
        key = secrets.token_urlsafe(24)
        folders = [Path(one) for one in (compare, folder) if one is not None]
        servers = tuple(
            stack.enter_context(
                answering(
                    one,
                    engine=engine,
                    environment=environment,
                    options=options,
                    api_key=key,
                    reporter=run,
                )
            )
            for one in folders
        )
        blocks = page.build(servers, shown, language, temporary / "pictures")
        url = stack.enter_context(web.running(blocks, page.appearance(), port))
        yield Launched(url, servers)


def _room() -> tuple[Any, Any]:
    try:
        from . import page, web
    except ImportError as error:
        raise EnvironmentFailure(
            f"the demo needs the package {error.name}",
            f"install the demo's packages: {install('demo')}",
        ) from None
    return page, web


def _images(examples: str | Path, images: str | Path | None) -> Path:
    place = Path(images) if images else Path(examples).parent
    if not place.is_dir():
        raise UsageError(
            f"{place} is not a folder", "name the folder of the examples' pictures with --images"
        )
    return place


@contextlib.contextmanager
def _settings(values: Mapping[str, str]) -> Iterator[None]:
    """Gradio reads its settings from the environment, some of them when it is imported."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
