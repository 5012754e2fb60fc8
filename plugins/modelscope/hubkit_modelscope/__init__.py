"""ModelScope, or a server that speaks its API, as a hub."""

from .hub import ModelScopeHub
from .options import Options

__all__ = ["ModelScopeHub", "Options"]
