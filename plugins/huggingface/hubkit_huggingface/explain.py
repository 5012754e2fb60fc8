"""What a failure of the client means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from hubkit.sdk import EnvironmentFailure, HubkitError, RefusedError, RemoteError

from .token import LOG_IN, Token

AGAIN = "run the same command again: it continues where it stopped"


def explain(error: BaseException, place: str, token: Token, done: list[str]) -> HubkitError:
    """The error to raise, without the token in it; `done` are the remote steps that were finished before. What no hub, network or
    disk can cause comes back as it is: it is a bug."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    while isinstance(error, RuntimeError) and error.__cause__ is not None:  # the client's upload threads
        error = error.__cause__
    if not isinstance(error, (HubkitError, httpx2.HTTPError, OSError, ValueError, LookupError)):
        raise error
    reached = f"; done before: {', '.join(done)}" if done else "; nothing was changed before"
    for cause in _causes(error):
        if isinstance(cause, RemoteError):
            return RemoteError(token.hide(f"{place}: {cause.message.removeprefix(f'{place}: ')}{reached}"), cause.remedy)
        if isinstance(cause, HubkitError):
            return cause
        if isinstance(cause, OfflineModeIsEnabled):
            return EnvironmentFailure(f"{place}: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE, then run again")
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return _from_answer(cause, place, token, reached)
    if isinstance(error, OSError) and error.filename:
        return EnvironmentFailure(f"{error.filename}: {error.strerror}{reached}", "make the file readable, then run again")
    words = token.hide(f"{place}: {type(error).__name__}: {error}")
    return RemoteError(f"{words}{reached}", AGAIN)


def _from_answer(error: object, place: str, token: Token, reached: str) -> HubkitError:
    from huggingface_hub.errors import DisabledRepoError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    response = getattr(error, "response")  # noqa: B009
    status, said = response.status_code, token.hide(getattr(error, "server_message", "") or "")
    told = f"{place}: the hub answered {status}{f' ({said})' if said else ''}"
    if isinstance(error, GatedRepoError):
        return EnvironmentFailure(
            f"{told}: the repository is gated, and the token from {token.source} has no access{reached}",
            "accept its terms on its page while logged in, or ask its owner, then run again",
        )
    if status == 401:
        return EnvironmentFailure(f"{told}: it does not accept the token from {token.source}{reached}", LOG_IN)
    if isinstance(error, DisabledRepoError):
        return RefusedError(f"{told}: the hub has disabled this repository{reached}", "ask the hub's support, or choose another")
    if status == 403:
        return EnvironmentFailure(
            f"{told}: the token from {token.source} may not do this{reached}",
            "use a token with permission to write, of a member of that organisation who may write",
        )
    if isinstance(error, RepositoryNotFoundError):
        remedy = "check the name; a private repository of others looks as if it were not there"
        return RemoteError(f"{told}: there is no such repository{reached}", remedy)
    if isinstance(error, RevisionNotFoundError):
        return RemoteError(f"{told}: there is no such branch, tag or commit{reached}", AGAIN)
    if status in (409, 412):
        return RemoteError(f"{told}: the repository was changed by somebody else meanwhile{reached}", AGAIN)
    return RemoteError(f"{told}{reached}", AGAIN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; huggingface_hub wraps failures of its upload threads."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
