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
            "GIT_ASKPASS": str(askpass),
            "HUBKIT_GIT_HOST": target.host,
            "HUBKIT_GIT_USERNAME": username,
            "HUBKIT_GIT_TOKEN_ENV": token_env,
            "HUBKIT_GIT_TOKEN_FILE": str(Path(token_file).expanduser().absolute())
            if token_file
            else "",
        }
        yield Login(environment, token or _OWN)


def source(token_env: str, token_file: str) -> LoginState:
    """Where git would take credentials from. Which repositories take them shows when one is
    asked."""
    try:
        if (token := named_token(token_env, token_file)) is not None:
            return LoginState("ok", "", token.source, "")
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
    if helper:
        return LoginState("ok", "", f"git's credential helper {helper[-1]}", "")
    if os.environ.get("SSH_AUTH_SOCK"):
        return LoginState("ok", "", "the SSH agent, for ssh remotes", "")
    remedy = (
        "set up a git credential helper or an SSH key, or give the option `token_env` the name of "
        "a variable with a token"
    )
    return LoginState("none", "", "no credential helper, no SSH agent, no token_env", remedy)
