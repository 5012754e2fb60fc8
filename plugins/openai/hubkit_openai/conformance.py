"""It asks a server, and hubkit brings none to the check."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import Undriven


def case(folder: Path) -> Undriven:
    return Undriven(
        "it asks a server that runs already: export OPENAI_BASE_URL, then "
        "`hubkit smoke FOLDER --engine openai`"
    )
