"""OpenAI's chat API as its many servers speak it (vLLM, SGLang, LMDeploy, llama.cpp, Ollama),
asked over plain HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from . import json_text
from .retry import retry_after
from .text import one_line

URL_ENV, KEY_ENV = "OPENAI_BASE_URL", "OPENAI_API_KEY"
"""The variables that OpenAI's own client reads."""
_LARGEST = 8 << 20
"""Bytes of a reply."""
_SHOWN = 300


@dataclass(frozen=True)
class ServerOptions:
    """What the Options of an engine derive from when it asks a server that runs already: hubkit
    then fills `GenerateInput.server`.

    `url_env` and `key_env` name the environment variables that hold the API's address and its key.
    `models` maps the name of a model folder to the name under which the server lists that model,
    where the two differ."""

    url_env: str = URL_ENV
    key_env: str = KEY_ENV
    models: Mapping[str, str] = field(default_factory=dict)


class ApiFailure(Exception):
    """No sound answer: `status` is HTTP's, or 0 when there was none; `wait` are the seconds for
    which the server asks. The message is one line and shows no key."""

    def __init__(self, message: str, status: int = 0, wait: float | None = None) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait


@dataclass(frozen=True)
class Completion:
    """`finish` is the server's reason for the end and `model` the name that it answers as; both
    may be empty. `tokens` are those of the text, `total_tokens` the prompt's too, when it tells."""

    text: str
    finish: str
    model: str
    tokens: int | None
    total_tokens: int | None


def url_problem(url: str) -> str:
    """Why `url` cannot be an API's address; empty when it can. Shows nothing of it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        bare = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        good = bare = False
    return "" if good and bare else "is not an http(s) URL without credentials"


def image_part(picture: bytes, kind: str) -> dict[str, Any]:
    """The part of a message that is a picture; `kind` is its format, such as `png`."""
    url = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def error_of(body: bytes) -> str:
    """What an error of the API says: `{"error": {"message"}}`, or `{"message"}` as LMDeploy writes
    it."""
    try:
        data = json_text.parse(body)
        inner = data.get("error", data)
        return str(inner["message"] if isinstance(inner, dict) else inner)
    except (ValueError, KeyError, AttributeError):
        return body.decode("utf-8", "replace")


class Stay(HTTPRedirectHandler):
    """Follows no redirect, which would take what is sent to another host than the user named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class ChatApi:
    """The API at `url`; `timeout` is in seconds, for each step of a request."""

    def __init__(self, url: str, key: str = "", timeout: float = 120.0) -> None:
        self.url, self.host = url.rstrip("/"), urlsplit(url).hostname or ""
        self.key, self._timeout = key, timeout
        self._opener = build_opener(Stay)

    def models(self) -> dict[str, str]:
        """The names that the server lists, each with its owner ("" where that is not told)."""
        listed = self._ask("GET", "models", None).get("data")
        rows = (
            [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        )
        return {str(one.get("id")): str(one.get("owned_by") or "") for one in rows}

    def complete(self, model: str, messages: Sequence[Any], limit: int) -> Completion:
        """One greedy answer of at most `limit` tokens. Raises ApiFailure."""
        body = {
            "model": model,
            "messages": list(messages),
            "max_tokens": limit,
            "temperature": 0,
        }
        data = self.ask("chat/completions", body)
        try:
            choice, usage = data["choices"][0], data.get("usage") or {}
            text, finish = choice["message"]["content"], choice.get("finish_reason")
            tokens, total = usage.get("completion_tokens"), usage.get("total_tokens")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ApiFailure(f"{self.host}: the reply is not a chat completion") from None
        if not isinstance(text, str):
            raise ApiFailure(f"{self.host}: the reply holds no text")
        return Completion(
            text, str(finish or ""), str(data.get("model") or ""), _count(tokens), _count(total)
        )

    def ask(self, path: str, body: Any) -> dict[str, Any]:
        """What the server answers to `body`, posted to `path`. Raises ApiFailure."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = f"{self.url}/{path}"
        content = json.dumps(body).encode() if body is not None else None
        request = Request(url, content, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                data = json_text.parse(response.read(_LARGEST))
        except HTTPError as error:
            raise self._refusal(error) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ApiFailure(f"{url}: {type(error).__name__}: {self._hidden(reason)}") from None
        except ValueError:
            raise ApiFailure(f"{url}: the reply is not JSON") from None
        if not isinstance(data, dict):
            raise ApiFailure(f"{url}: the reply is not a JSON object")
        return data

    def _refusal(self, error: HTTPError) -> ApiFailure:
        try:
            said = error_of(error.read(1 << 16))
        except (HTTPException, OSError):
            said = ""
        message = f"{self.host} answered {error.code}: {self._hidden(said)}"
        return ApiFailure(message, error.code, retry_after(dict(error.headers.items())))

    def _hidden(self, text: object) -> str:
        said = str(text)
        return one_line(said.replace(self.key, "***") if self.key else said, _SHOWN)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
