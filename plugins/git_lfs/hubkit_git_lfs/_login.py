"""Logging in with a token: it stays in its environment variable and goes to one host only."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, UsageError
from hubkit.sdk import Login as LoginState
from hubkit.sdk.gitcli import GitFailed, clean_environment, run_git

from ._target import PROTOCOLS, Target

_ASKPASS = """#!/bin/sh
case "$1" in
  *//"$HUBKIT_GIT_HOST"[/\\'\\":]* | *@"$HUBKIT_GIT_HOST"[/\\'\\":]*) ;;
  *) exit 1 ;;
esac
case "$1" in
  Username*) printf '%s\\n' "$HUBKIT_GIT_USERNAME" ;;
  *) printenv "$HUBKIT_GIT_TOKEN_ENV" ;;
esac
"""
"""Answers git's and Git LFS's questions for the target's host only: a repository's .lfsconfig may name another."""


@dataclass(frozen=True)
class Login:
    """`environment` is for git; `token` is here to keep it out of messages."""

    environment: dict[str, str] = field(repr=False)
    token: str = field(default="", repr=False)


@contextmanager
def login(target: Target, token_env: str, username: str) -> Iterator[Login]:
    """With an empty `token_env`, git's own credential helpers and SSH keys log in.

    Raises:
        EnvironmentFailure: the variable named by `token_env` is not set.
        UsageError: `token_env` holds something other than a name, or the target may not be sent a token.
    """
    environment = clean_environment() | {"GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS)}
    if not token_env or target.local:
        yield Login(environment)
        return
    token = _token(target, token_env)
    with tempfile.TemporaryDirectory(prefix="hubkit-askpass-") as folder:
        askpass = Path(folder, "askpass")
        askpass.write_text(_ASKPASS, encoding="utf-8")
        askpass.chmod(0o700)
        environment |= {
            "GIT_ASKPASS": str(askpass),
            "HUBKIT_GIT_HOST": target.host,
            "HUBKIT_GIT_USERNAME": username,
            "HUBKIT_GIT_TOKEN_ENV": token_env,
        }
        yield Login(environment, token)


def _token(target: Target, name: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise UsageError(
            "the option `token_env` is not the name of an environment variable (capitals, digits, _); its value is not shown",
            "give the variable's name, such as HF_TOKEN, never the token itself",
        )
    if not target.takes_token:
        raise UsageError(
            f"{target.page}: a token is sent over https only", "use the repository's https URL, or SSH keys without `token_env`"
        )
    if not (token := os.environ.get(name, "").strip()):
        raise EnvironmentFailure(
            f"the environment variable {name}, named by `token_env`, is not set", f"export {name} with your token in it"
        )
    return token


def source(token_env: str) -> LoginState:
    """Where git would take credentials from. Which repositories take them shows when one is asked."""
    if token_env:
        given = bool(os.environ.get(token_env, "").strip())
        remedy = "" if given else f"export {token_env} with your token"
        return LoginState("ok" if given else "none", "", f"the environment variable {token_env}", remedy)
    try:
        helper = run_git(["config", "--get-all", "credential.helper"], cwd=Path("/"), environment=clean_environment()).split()
    except GitFailed:
        helper = []
    if helper:
        return LoginState("ok", "", f"git's credential helper {helper[-1]}", "")
    if os.environ.get("SSH_AUTH_SOCK"):
        return LoginState("ok", "", "the SSH agent, for ssh remotes", "")
    remedy = "set up a git credential helper or an SSH key, or give the option `token_env` the name of a variable with a token"
    return LoginState("none", "", "no credential helper, no SSH agent, no token_env", remedy)
