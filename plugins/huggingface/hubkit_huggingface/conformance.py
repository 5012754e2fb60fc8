"""hubkit brings a release, and a hub on this machine that speaks the protocol; the client is the
real one."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import HubCase

OPTIONS = {"endpoint": "{url}", "token_env": "HUBKIT_REHEARSAL_TOKEN", "patience": 20.0}


def case(folder: Path) -> HubCase:
    return HubCase(
        "rehearsal/InternVL2-Check", OPTIONS, bad_target="no-organisation", rehearsal=True
    )
