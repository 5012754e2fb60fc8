"""What a failed git command means, from its stderr, and what to do about it."""

from __future__ import annotations

import re

from hubkit.sdk import EnvironmentFailure, HubkitError, RefusedError, RemoteError
from hubkit.sdk.gitcli import GitFailed

from ._login import Login
from ._target import Target

_NOT_LET_IN = (
    r"authentication failed|could not read (username|password)|access denied|publickey|authoriz"
    r"|\b40[13]\b|forbidden|"
    r"authentication required|unable to get password|invalid credentials"
)
_CERTIFICATE = r"certificate (problem|verif)|x509: certificate"
_LOG_IN = (
    "log in: set up a git credential helper or an SSH key for this host, or give the option "
    "`token_env` the name of an environment variable (`token_file`: of a file) that holds a token "
    "with permission to write"
)
_MEANINGS: tuple[tuple[str, type[HubkitError], str], ...] = (
    (
        r"no space left|disk quota|file too large",
        EnvironmentFailure,
        "free some space on the remote's disk, then run again",
    ),
    (
        r"(non-fast-forward|fetch first|already exists|stale info)\)",
        RefusedError,
        "the repository has something that this release does not build on: choose another "
        "repository or another tag",
    ),
    (
        r"hook declined|remote rejected|protected branch",
        RemoteError,
        "the repository does not take this push: read its reason, ask its owner for permission, or "
        "choose another repository",
    ),
    (
        r"permission denied|unable to create|unable to write|read-only file system"
        r"|insufficient permission|unable to migrate|"
        r"not a directory|operation not permitted",
        EnvironmentFailure,
        "make the repository's folder writable for you, or choose another target",
    ),
    (
        r"does not appear to be a git repository|repository .*not found|\b404\b",
        RemoteError,
        "create the repository at the hub first, and check its address and your permission to see "
        "it",
    ),
    (
        r"could not resolve host|failed to connect|connection (refused|reset|timed out)"
        r"|timed out|50[0234]",
        RemoteError,
        "check the network, run again",
    ),
)


def explain(error: GitFailed, target: Target, login: Login) -> HubkitError:
    """The error to raise; neither a token nor a password in a URL is in it."""
    message = login.token.hide(f"{target.page}: {error.message}")
    message = re.sub(r"(\w://)[^/\s:@]+:[^/\s@]+@", r"\1***@", message)
    if target.local is None and re.search(_CERTIFICATE, error.stderr, re.IGNORECASE):
        return EnvironmentFailure(
            message,
            "check the address and this machine's clock; for a certificate authority of your own, "
            "name its file in GIT_SSL_CAINFO",
        )
    if target.local is None and re.search(_NOT_LET_IN, error.stderr, re.IGNORECASE):
        return EnvironmentFailure(f"{message}: not let in with {login.token.source}", _LOG_IN)
    for pattern, kind, remedy in _MEANINGS:
        local_only = kind is EnvironmentFailure and target.local is None
        if not local_only and re.search(pattern, error.stderr, re.IGNORECASE):
            return kind(message, remedy)
    return RemoteError(
        message, "look at git's message; run the same command again, it continues where it stopped"
    )
