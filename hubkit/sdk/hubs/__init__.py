"""What hubs share: the token and where it was found, options, explained failures, changes whose
answer may be lost, downloads that are whole or not there, and what may be published over what. Only
for plugins of the kind `hub`."""

from .api_hub import ApiHub
from .download import whole
from .explain import AGAIN, answered, causes, explain
from .options import ApiOptions
from .release import (
    GIVEN,
    MANIFEST,
    another_release,
    content,
    is_manifest,
    no_revision,
    refuse_strangers,
)
from .session import ApiSession, Doubt
from .token import Token, check_token_options, named_token, refuse_offline

__all__ = [
    "AGAIN",
    "GIVEN",
    "MANIFEST",
    "ApiHub",
    "ApiOptions",
    "ApiSession",
    "Doubt",
    "Token",
    "another_release",
    "answered",
    "causes",
    "check_token_options",
    "content",
    "explain",
    "is_manifest",
    "named_token",
    "no_revision",
    "refuse_offline",
    "refuse_strangers",
    "whole",
]
