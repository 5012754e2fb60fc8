"""What a failure of modelscope_hub means, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from hubkit.sdk import HubkitError, RefusedError, hubs
from hubkit.sdk.hubs import Token

from .token import LOG_IN


def explain(error: BaseException, place: str, token: Token, done: Sequence[str]) -> HubkitError:
    """As `hubkit.sdk.hubs.explain`."""
    from modelscope_hub.errors import (
        AlreadyExistsError,
        APIError,
        AuthenticationError,
        HubError,
        QuotaExceededError,
    )

    def known(cause: BaseException, reached: str) -> HubkitError | None:
        if not isinstance(cause, APIError) or not cause.status_code:
            return None
        told = token.hide(f"{place}: the hub answered {cause.status_code} ({cause.message})")
        if isinstance(cause, QuotaExceededError):
            return RefusedError(
                f"{told}: the account's quota is used up{reached}",
                "free some of it, or ask ModelScope for more",
            )
        status = 401 if isinstance(cause, AuthenticationError) else cause.status_code
        return hubs.answered(
            409 if isinstance(cause, AlreadyExistsError) else status, told, token, reached, LOG_IN
        )

    return hubs.explain(error, place, token, done, known, (HubError,))
