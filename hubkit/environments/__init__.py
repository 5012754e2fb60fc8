"""Where trainers and engines run: a worker process in hubkit's own interpreter, in one that the
user names, or in a locked environment that hubkit builds from the plugin's lock.

The worker finds `hubkit.sdk` and the plugin's package on its path and nothing else of hubkit, no
secret in its environment, and its own process group; whatever it does (crash, hang, exit, flood its
logs) ends in a result or in a HubkitError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sdk.lazy import lazily

if TYPE_CHECKING:
    from .ask import unhealthy
    from .environment import CURRENT, Environment, EnvironmentLike
    from .installed import versions_in
    from .workers import call, health, locked_name, resolve

_HOMES = {
    "ask": "unhealthy",
    "environment": "CURRENT Environment EnvironmentLike",
    "installed": "versions_in",
    "workers": "call health locked_name resolve",
}
"""Where each name is: a module is imported when it is first asked for."""

__all__ = [
    "CURRENT",
    "Environment",
    "EnvironmentLike",
    "call",
    "health",
    "locked_name",
    "resolve",
    "unhealthy",
    "versions_in",
]


if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOMES)
