"""Logging in with a token: it stays in its environment variable and goes to one host only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, UsageError
from hubkit.sdk import Login as LoginState
from hubkit.sdk.gitcli import GitFailed, clean_environment, run_git
from hubkit.sdk.hubs import Token, named_token, refuse_offline

from ._target import PROTOCOLS, Target

_ASKPASS = """#!/bin/sh
case "$1" in
  *//"$HUBKIT_GIT_HOST"[/\\'\\":]* | *@"$HUBKIT_GIT_HOST"[/\\'\\":]*) ;;
  *) exit 1 ;;
esac
case "$1" in
  Username*) printf '%s\\n' "$HUBKIT_GIT_USERNAME" ;;
  *) if [ -n "$HUBKIT_GIT_TOKEN_ENV" ]; then printenv "$HUBKIT_GIT_TOKEN_ENV"
     else tr -d ' \\t\\r\\n' < "$HUBKIT_GIT_TOKEN_FILE" && echo; fi ;;
esac
"""
"""Answers git's and Git LFS's questions for the target's host only: a repository's .lfsconfig may
name another."""


_ASK = "which repositories let you in shows when one is asked: `hubkit push` does so first"
_OWN = Token("", "git's credential helpers and SSH keys")


@dataclass(frozen=True)
class Login:
    """`environment` is for git; `token` is here to keep it out of messages, and to say where it
    came from."""

    environment: dict[str, str] = field(repr=False)
    token: Token = _OWN


@contextmanager
def login(target: Target, token_env: str, token_file: str, username: str) -> Iterator[Login]:
    """With neither `token_env` nor `token_file`, git's own credential helpers and SSH keys log in.

    Raises:
        EnvironmentFailure: the variable or file does not hold a token, or hubs are not to be asked
            (offline).
        UsageError: the target may not be sent a token.
    """
    environment = clean_environment() | {"GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS)}
    if target.local:
        yield Login(environment)
        return
    refuse_offline(target.page)
    if not (token_env or token_file):
        yield Login(environment)
        return
    if not target.takes_token:
        raise UsageError(
            f"{target.page}: a token is sent over https only",
            "use the repository's https URL, or SSH keys without a token",
        )
    token = named_token(token_env, token_file)
    with tempfile.TemporaryDirectory(prefix="hubkit-askpass-") as folder:
        askpass = Path(folder, "askpass")
        askpass.write_text(_ASKPASS, encoding="utf-8")
        askpass.chmod(0o700)
        environment |= {
            **_without_netrc(Path(folder)),
            "GIT_ASKPASS": str(askpass),
            "HUBKIT_GIT_HOST": target.host,
            "HUBKIT_GIT_USERNAME": username,
            "HUBKIT_GIT_TOKEN_ENV": token_env,
            "HUBKIT_GIT_TOKEN_FILE": str(Path(token_file).expanduser().absolute())
            if token_file
            else "",
        }
        yield Login(environment, token or _OWN)


def _without_netrc(home: Path) -> dict[str, str]:
    """Variables for a home in which git and Git LFS find the user's configuration and no ~/.netrc:
    they would let what is in that file in before they ask for the token."""
    real = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or real / ".config")
    if "GIT_CONFIG_GLOBAL" not in os.environ:
        included = "".join(
            f"[include]\n\tpath = {_quoted(path)}\n"
            for path in (config / "git" / "config", real / ".gitconfig")
            if path.is_file()
        )
        (home / ".gitconfig").write_text(included, "utf-8")
    return {"HOME": str(home), "XDG_CONFIG_HOME": str(config)}


def _quoted(path: Path) -> str:
    """As git's configuration has strings."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def source(token_env: str, token_file: str) -> LoginState:
    """Where git would take credentials from. Which repositories take them shows when one is
    asked."""
    try:
        if (token := named_token(token_env, token_file)) is not None:
            return LoginState("unknown", "", token.source, _ASK)
    except EnvironmentFailure as error:
        return LoginState("none", "", error.message, error.remedy)
    try:
        helper = run_git(
            ["config", "--get-all", "credential.helper"],
            cwd=Path("/"),
            environment=clean_environment(),
        ).split()
    except GitFailed:
        helper = []
    netrc = Path("~/.netrc").expanduser()
    sources = [
        f"git's credential helper {helper[-1]}" if helper else "",
        f"{netrc}, for the hosts in it" if netrc.is_file() else "",
        "the SSH agent, for ssh remotes" if os.environ.get("SSH_AUTH_SOCK") else "",
    ]
    if any(sources):
        return LoginState("unknown", "", "; ".join(filter(None, sources)), _ASK)
    remedy = (
        "set up a git credential helper or an SSH key, or give the option `token_env` the name of "
        "a variable with a token"
    )
    return LoginState("none", "", "no credential helper, no SSH agent, no token_env", remedy)
