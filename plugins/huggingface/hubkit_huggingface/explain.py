"""What a failure of huggingface_hub means, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from hubkit.sdk import EnvironmentFailure, HubkitError, RefusedError, RemoteError, hubs
from hubkit.sdk.hubs import AGAIN, NOT_AGAIN, Token

from .token import LOG_IN


def explain(error: BaseException, place: str, token: Token, done: Sequence[str]) -> HubkitError:
    """As `hubkit.sdk.hubs.explain`."""
    import httpx2
    from huggingface_hub import errors
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    while (
        isinstance(error, RuntimeError) and error.__cause__ is not None
    ):  # the client's upload threads
        error = error.__cause__

    def known(cause: BaseException, reached: str) -> HubkitError | None:
        if isinstance(cause, OfflineModeIsEnabled):
            return EnvironmentFailure(
                f"{place}: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE, then run again"
            )
        if isinstance(cause, ValueError) and "metadata in README.md" in str(cause):
            return RefusedError(
                f"{place}: the hub does not take the card: {token.hide(str(cause))}{reached}",
                NOT_AGAIN,
            )
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return _from_answer(cause, place, token, reached)
        return None

    kinds: list[type[BaseException]] = [httpx2.HTTPError, httpx2.InvalidURL]
    kinds += [one for one in vars(errors).values() if _is_error(one)]
    return hubs.explain(error, place, token, done, known, tuple(kinds))


def _is_error(one: object) -> TypeGuard[type[Exception]]:
    return isinstance(one, type) and issubclass(one, Exception)


def _from_answer(error: object, place: str, token: Token, reached: str) -> HubkitError:
    from huggingface_hub.errors import DisabledRepoError, GatedRepoError, RevisionNotFoundError

    response = getattr(error, "response")  # noqa: B009
    status, said = response.status_code, token.hide(getattr(error, "server_message", "") or "")
    told = f"{place}: the hub answered {status}{f' ({said})' if said else ''}"
    if isinstance(error, GatedRepoError):
        return EnvironmentFailure(
            f"{told}: the repository is gated, and the token from {token.source} has no "
            f"access{reached}",
            "accept its terms on its page while logged in, or ask its owner, then run again",
        )
    if isinstance(error, DisabledRepoError):
        return RefusedError(
            f"{told}: the hub has disabled this repository{reached}",
            "ask the hub's support, or choose another",
        )
    if isinstance(error, RevisionNotFoundError):
        return RemoteError(f"{told}: there is no such branch, tag or commit{reached}", AGAIN)
    return hubs.answered(status, told, token, reached, LOG_IN)
