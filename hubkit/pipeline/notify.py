"""Who is told when a stage ends or fails: a command or a webhook of the user's, as release.yaml's
`notify` says. What they do decides nothing: a release goes on when one of them fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..environments.environment import SECRET_WORDS, allowed
from ..errors import HubkitError
from ..hygiene.secrets import secrets
from ..sdk import Run
from ..sdk.chat_api import Stay
from .spec.model import Spec
from .spec.publishing import Notification

SECONDS = 20.0
_SHORTEST = 6  # characters of a variable's value that is taken for a secret


class Notifier:
    """Tells those whom `spec` names; commands run in `folder`."""

    def __init__(self, spec: Spec, folder: Path, run: Run) -> None:
        self._spec, self._folder, self._run = spec, folder, run

    def sealed(self, stage: str, seconds: float, summary: str) -> None:
        self._tell(stage, "sealed", {"seconds": round(seconds, 3), "summary": summary})

    def failed(self, stage: str, error: Exception) -> None:
        told = (
            error.to_json()
            if isinstance(error, HubkitError)
            else {"error": type(error).__name__, "message": str(error), "exit_code": 1}
        )
        self._tell(stage, "failed", told)

    def _tell(self, stage: str, state: str, facts: Mapping[str, Any]) -> None:
        event = {
            "event": "stage",
            "stage": stage,
            "state": state,
            "name": self._spec.name,
            "tag": self._spec.tag,
            **facts,
        }
        body = redacted(json.dumps(event, ensure_ascii=False), os.environ)
        for number, one in enumerate(self._spec.notify):
            wanted = state in one.states and (not one.stages or stage in one.stages)
            if wanted and (problem := self._send(one, body.encode())):
                self._run.note(f"notify.{number}: {problem}")

    def _send(self, one: Notification, body: bytes) -> str:
        """What went wrong; empty when it was told."""
        if one.command:
            return _call(one, body, self._folder)
        address = one.webhook or os.environ.get(one.webhook_env, "")
        if not address:
            return f"the variable {one.webhook_env} is not set"
        return _post(address, body)


def _call(one: Notification, body: bytes, folder: Path) -> str:
    named = {name: os.environ[name] for name in one.env if name in os.environ}
    try:
        done = subprocess.run(
            one.command,
            input=body,
            cwd=folder,
            env={**allowed(os.environ), **named},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{one.command[0]} was ended after {SECONDS:.0f} seconds"
    except OSError as error:
        return f"{one.command[0]} cannot be run: {error.strerror}"
    return f"{one.command[0]} ended with {done.returncode}" if done.returncode else ""


def _post(address: str, body: bytes) -> str:
    """The address is a secret often; of it only the host is told."""
    parts = urlsplit(address)
    if os.environ.get("HUBKIT_OFFLINE") == "1":
        return f"{parts.hostname} was not told: HUBKIT_OFFLINE=1"
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "the webhook's address does not begin with https://"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"{parts.hostname} answered {error.code}"
    except (OSError, ValueError) as error:
        return f"{parts.hostname} was not reached ({type(error).__name__})"


def redacted(text: str, environment: Mapping[str, str]) -> str:
    """`text` without the values of variables that are named like secrets, and without anything that
    looks like a credential."""
    values = [
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST and any(word in name.upper() for word in SECRET_WORDS)
    ]
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    content = text.encode()
    for start, end, _ in sorted(secrets(content), reverse=True):
        content = content[:start] + b"***" + content[end:]
    return re.sub(r"(?<=://)[^/\s@\"]+@", "***@", content.decode("utf-8", "replace"))
