"""The wheel's build hook: the manual pages go along where `make man` has written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = Path("build/man/man1")


class ManualPages(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for page in sorted(Path(self.root, PAGES).glob("*.1")):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
