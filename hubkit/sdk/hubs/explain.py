"""What a failure of a hub's client means, and what to do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence

from ..errors import EnvironmentFailure, HubkitError, RefusedError, RemoteError
from ..retry import TRANSIENT
from ..text import one_line
from .token import Token

AGAIN = "run the same command again: it continues where it stopped"
NOT_AGAIN = "correct what the hub names, package the release again, then push"
"""For an answer that stays the same until something is corrected."""
_MISREAD = (TypeError, AttributeError, RecursionError)
"""What clients raise over JSON of another type than they expect."""


def explain(
    error: BaseException,
    place: str,
    token: Token,
    done: Sequence[str],
    known: Callable[[BaseException, str], HubkitError | None],
    kinds: tuple[type[BaseException], ...],
) -> HubkitError:
    """The error to raise, without the token in it; `done` are the remote steps that were finished
    before. `known(cause, reached)` explains what only this client raises, `kinds` are its errors.
    What no hub, network or disk can cause is raised as it is, a bug."""
    if not isinstance(error, (HubkitError, OSError, ValueError, LookupError, *_MISREAD, *kinds)):
        raise error
    reached = f"; done before: {', '.join(done)}" if done else "; nothing was changed before"
    for cause in causes(error):
        if isinstance(cause, RemoteError):
            return RemoteError(
                f"{place}: {token.hide(cause.message.removeprefix(f'{place}: '))}{reached}",
                cause.remedy,
            )
        if isinstance(cause, HubkitError):
            return cause
        if (found := known(cause, reached)) is not None:
            return found
    if isinstance(error, OSError) and error.filename:
        return EnvironmentFailure(
            f"{error.filename}: {error.strerror}{reached}", "make the file readable, then run again"
        )
    said = token.hide(f"{type(error).__name__}: {error}")
    if isinstance(error, _MISREAD):
        return RemoteError(
            f"{place}: its answer is not what this API answers ({said}){reached}",
            "check the address of the hub; if it is right, report this with hubkit's log",
        )
    return RemoteError(f"{place}: {said}{reached}", AGAIN)


def answered(status: int, told: str, token: Token, reached: str, log_in: str) -> HubkitError:
    """What an answer of `status` means, where the client says nothing more of it; `told` is place
    and answer, token hidden."""
    if status == 401:
        return EnvironmentFailure(
            f"{told}: it does not accept the token from {token.source}{reached}", log_in
        )
    if status == 403:
        return EnvironmentFailure(
            f"{told}: the token from {token.source} may not do this{reached}",
            "use a token with permission to write, of a member of that organisation who may write; "
            "accept the terms of a gated repository on its page",
        )
    if status == 404:
        remedy = "check the name; a private repository of others looks as if it were not there"
        return RemoteError(f"{told}: there is no such repository or revision{reached}", remedy)
    if status in (409, 412):
        return RemoteError(
            f"{told}: the repository was changed by somebody else meanwhile{reached}", AGAIN
        )
    if 400 <= status < 500 and status not in TRANSIENT:
        return RefusedError(f"{told}: it does not take this request{reached}", NOT_AGAIN)
    return RemoteError(f"{told}{reached}", AGAIN)


def moved_write(name: str, host: str) -> RemoteError:
    """The server sends a write on to another place: nothing is sent there, body and token
    included."""
    return RemoteError(
        f"{name}: the server redirects this write to {one_line(host, 100) or 'another page'}, and "
        "it was not followed",
        "if you trust that host, name it in the option `endpoint`; a mirror is for reading only",
    )


def refuse_hopeless(name: str, error: BaseException) -> None:
    """For a request that got no answer.

    Raises:
        RemoteError: there is no host of this name.
        EnvironmentFailure: its certificate is not trusted.
    """
    for cause in causes(error):
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            raise RemoteError(
                f"{name}: there is no host of this name",
                "check the address of the hub (the option `endpoint`) and the network",
            ) from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise EnvironmentFailure(
                f"{name}: its certificate is not trusted: {one_line(cause.verify_message)}",
                "check the address and this machine's clock; for a certificate authority of your "
                "own, name its file in SSL_CERT_FILE and REQUESTS_CA_BUNDLE",
            ) from None


def unusable_proxy(why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"the proxy of the environment (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY) cannot be used: {why}",
        "install the package that is named (`pip install socksio pysocks` for socks5://), correct "
        "the variable, or unset it",
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; clients wrap the failures of their upload threads, and
    requests and urllib3 keep some in their arguments only."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__ or found.__context__, *found.args]
        waiting.append(getattr(found, "reason", None))
