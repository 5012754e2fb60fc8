"""hubkit brings a release, and a hub on this machine that speaks the protocol; the client is the
real one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hubkit.sdk.install import install
from hubkit.sdk.testing import HubCase, Undriven

OPTIONS = {"endpoint": "{url}", "token_env": "HUBKIT_REHEARSAL_TOKEN", "patience": 20.0}


def case(folder: Path) -> HubCase | Undriven:
    if find_spec("modelscope_hub") is None:
        return Undriven(f"the ModelScope client is not installed: {install('modelscope')}")
    return HubCase(
        "rehearsal/InternVL2-Check", OPTIONS, bad_target="no-organisation", rehearsal=True
    )
