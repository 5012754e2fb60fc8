"""hubkit's errors, for callers of the Python API. The tree is drawn in `hubkit.sdk.errors`, where
plugins find it too."""

from .sdk.errors import (
    CancelledError,
    DataError,
    EnvironmentFailure,
    HubkitError,
    PluginError,
    RefusedError,
    RemoteError,
    SpecError,
    UsageError,
    WeightsError,
)

__all__ = [
    "CancelledError",
    "DataError",
    "EnvironmentFailure",
    "HubkitError",
    "PluginError",
    "RefusedError",
    "RemoteError",
    "SpecError",
    "UsageError",
    "WeightsError",
]
