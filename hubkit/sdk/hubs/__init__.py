"""What hubs share: the token and where it was found, options, explained failures, changes whose
answer may be lost, downloads that are whole or not there, and what may be published over what. Only
for plugins of the kind `hub`."""

from .answers import ANSWER_LIMIT, read_json, read_whole
from .api_hub import ApiHub
from .download import longer_than, promised, whole
from .explain import (
    AGAIN,
    NOT_AGAIN,
    answered,
    causes,
    explain,
    moved_write,
    refuse_hopeless,
    unusable_proxy,
)
from .harmless import log_harmless
from .options import ApiOptions
from .release import (
    GIVEN,
    MANIFEST,
    another_release,
    content,
    is_manifest,
    no_revision,
    refuse_public,
    refuse_strangers,
    refuse_unlike,
    still_shown,
)
from .session import ApiSession, Doubt
from .token import Token, check_endpoint, check_token_options, named_token, refuse_offline

__all__ = [
    "AGAIN",
    "ANSWER_LIMIT",
    "GIVEN",
    "MANIFEST",
    "NOT_AGAIN",
    "ApiHub",
    "ApiOptions",
    "ApiSession",
    "Doubt",
    "Token",
    "another_release",
    "answered",
    "causes",
    "check_endpoint",
    "check_token_options",
    "content",
    "explain",
    "is_manifest",
    "log_harmless",
    "longer_than",
    "moved_write",
    "named_token",
    "no_revision",
    "promised",
    "read_json",
    "read_whole",
    "refuse_hopeless",
    "refuse_offline",
    "refuse_public",
    "refuse_strangers",
    "refuse_unlike",
    "still_shown",
    "unusable_proxy",
    "whole",
]
