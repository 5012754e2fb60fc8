"""Where hubkit keeps what can be made again: `$HUBKIT_HOME`, or `~/.cache/hubkit`."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HUBKIT_HOME") or Path(cache) / "hubkit").expanduser().absolute()
