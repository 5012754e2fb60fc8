"""An OpenAI-compatible endpoint that sees pictures, asked over plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import DataError, EnvironmentFailure, RemoteError, UsageError
from ..sdk import json_text

_LARGEST = 8 << 20
"""Bytes of a reply."""
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Endpoint:
    """`url` is the address of the API (`http://127.0.0.1:23333/v1`); `model` may be empty when it
    serves one; `key_env` names the environment variable that holds its key. `timeout` is seconds
    for one reply."""

    url: str
    model: str = ""
    key_env: str = ""
    timeout: float = 120.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
        ):
            raise UsageError(
                "the endpoint is not an http(s) URL without credentials",
                "write for example http://127.0.0.1:23333/v1",
            )
        if self.key_env and not os.environ.get(self.key_env):
            raise EnvironmentFailure(
                f"the variable {self.key_env} is not set", "set it to the endpoint's key"
            )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Reply:
    text: str
    tokens: int


class _Stay(HTTPRedirectHandler):
    """A redirect would take the key along to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], None] = time.sleep) -> None:
        self.endpoint, self._sleep = endpoint, sleep
        self._opener = build_opener(_Stay)

    def model(self) -> str:
        """The endpoint's model. Raises UsageError when none was named and it lists several."""
        if self.endpoint.model:
            return self.endpoint.model
        listed = self._ask("GET", "models", None).get("data")
        names = (
            [str(one.get("id")) for one in listed if isinstance(one, Mapping)]
            if isinstance(listed, list)
            else []
        )
        if len(names) != 1:
            raise UsageError(
                f"the endpoint lists {len(names)} models: {', '.join(names[:20])}",
                "name one with --model",
            )
        return names[0]

    def chat(self, model: str, prompt: str, picture: bytes, kind: str, limit: int) -> Reply:
        """One reply of at most `limit` tokens to a prompt with a picture, greedily.

        Raises:
            RemoteError: no sound reply; asking again may help.
            EnvironmentFailure: the key is not accepted.
            UsageError: there is no such model or address.
        DataError: this request is refused.
        """
        image = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
        content = [
            {"type": "text", "text": prompt},
            {"type": "image_url", "image_url": {"url": image}},
        ]
        body = {
            "model": model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": limit,
            "temperature": 0,
        }
        data = self._ask("POST", "chat/completions", body)
        try:
            text = data["choices"][0]["message"]["content"]
            tokens = (data.get("usage") or {}).get("total_tokens")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise RemoteError(
                f"{self.endpoint.host}: the reply is not a chat completion",
                "is it an OpenAI-compatible API?",
            ) from None
        if not isinstance(text, str):
            raise RemoteError(
                f"{self.endpoint.host}: the reply holds no text", "is it a model that chats?"
            )
        return Reply(text, tokens if isinstance(tokens, int) else (len(prompt) + len(text)) // 3)

    def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.endpoint.key_env, "") if self.endpoint.key_env else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self.endpoint.url.rstrip('/')}/{path}"
        request = Request(
            url, json.dumps(body).encode() if body is not None else None, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self.endpoint.timeout) as response:
                data = json_text.parse(response.read(_LARGEST))
        except HTTPError as error:
            raise self._refused(error, key) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise RemoteError(
                f"{url}: {type(error).__name__}: {reason}",
                "is the server running, and the address right?",
            ) from None
        except ValueError:
            raise RemoteError(
                f"{url}: the reply is not JSON", "is it an OpenAI-compatible API?"
            ) from None
        if not isinstance(data, dict):
            raise RemoteError(
                f"{url}: the reply is not a JSON object", "is it an OpenAI-compatible API?"
            )
        return data

    def _refused(self, error: HTTPError, key: str) -> Exception:
        said = error.read(2000).decode("utf-8", "replace").strip()
        said = said.replace(key, "***") if key else said
        told = f"{self.endpoint.host} answered {error.code}: {said[:300]}"
        if error.code in (401, 403):
            return EnvironmentFailure(
                told, "name the variable that holds its key with --api-key-env"
            )
        if error.code == 429 or error.code >= 500:
            if (wait := _seconds(error.headers.get("Retry-After"))) is not None:
                self._sleep(wait)
            return RemoteError(told, "run the same command again: it continues")
        if error.code == 404:
            return UsageError(told, "correct the endpoint's address or the model's name")
        return DataError(told, "correct the template or the picture")


def _seconds(text: str | None) -> float | None:
    try:
        return min(max(float(text or ""), 0.0), _LONGEST_WAIT)
    except ValueError:
        return None
