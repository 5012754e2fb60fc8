"""hubkit brings a release; it goes to a bare repository in the folder, which the plugin makes."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import HubCase


def case(folder: Path) -> HubCase:
    return HubCase(target=str(folder / "InternVL2-Check.git"), bad_target="http://")
