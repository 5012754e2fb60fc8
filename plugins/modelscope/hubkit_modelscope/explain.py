"""What a failure of the client means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from hubkit.sdk import EnvironmentFailure, HubkitError, RefusedError, RemoteError

from .token import LOG_IN, Token

AGAIN = "run the same command again: it continues where it stopped"


def explain(error: BaseException, place: str, token: Token, done: list[str]) -> HubkitError:
    """The error to raise, without the token in it; `done` are the remote steps that were finished before. What no hub, network or
    disk can cause comes back as it is: it is a bug."""
    from modelscope_hub.errors import APIError, HubError

    if not isinstance(error, (HubkitError, HubError, OSError, ValueError, LookupError)):
        raise error
    reached = f"; done before: {', '.join(done)}" if done else "; nothing was changed before"
    for cause in _causes(error):
        if isinstance(cause, RemoteError):
            return RemoteError(token.hide(f"{place}: {cause.message.removeprefix(f'{place}: ')}{reached}"), cause.remedy)
        if isinstance(cause, HubkitError):
            return cause
        if isinstance(cause, APIError) and cause.status_code:
            return _from_answer(cause, place, token, reached)
    if isinstance(error, OSError) and error.filename:
        return EnvironmentFailure(f"{error.filename}: {error.strerror}{reached}", "make the file readable, then run again")
    return RemoteError(token.hide(f"{place}: {type(error).__name__}: {error}{reached}"), AGAIN)


def _from_answer(error: object, place: str, token: Token, reached: str) -> HubkitError:
    from modelscope_hub.errors import AlreadyExistsError, APIError, AuthenticationError, QuotaExceededError

    assert isinstance(error, APIError)
    told = token.hide(f"{place}: the hub answered {error.status_code} ({error.message})")
    if isinstance(error, AuthenticationError):
        return EnvironmentFailure(f"{told}: it does not accept the token from {token.source}{reached}", LOG_IN)
    if isinstance(error, QuotaExceededError):
        return RefusedError(f"{told}: the account's quota is used up{reached}", "free some of it, or ask ModelScope for more")
    if error.status_code == 403:
        return EnvironmentFailure(
            f"{told}: the token from {token.source} may not do this{reached}",
            "use a token with permission to write, of a member of that organisation; accept the terms of a gated repository",
        )
    if error.status_code == 404:
        remedy = "check the name; a private repository of others looks as if it were not there"
        return RemoteError(f"{told}: there is no such repository or revision{reached}", remedy)
    if isinstance(error, AlreadyExistsError):
        return RemoteError(f"{told}: the repository was changed by somebody else meanwhile{reached}", AGAIN)
    return RemoteError(f"{told}{reached}", AGAIN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
