"""An OpenAI-compatible endpoint that sees pictures, and what its failures mean to who asks it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import DataError, EnvironmentFailure, RemoteError, UsageError
from ..sdk.chat_api import ApiFailure, ChatApi, image_part, url_problem

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
        if problem := url_problem(self.url):
            raise UsageError(
                f"the endpoint {problem}", "write for example http://127.0.0.1:23333/v1"
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


class Client:
    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], None] = time.sleep) -> None:
        self.endpoint, self._sleep = endpoint, sleep
        key = os.environ.get(endpoint.key_env, "") if endpoint.key_env else ""
        self._api = ChatApi(endpoint.url, key, endpoint.timeout)

    def model(self) -> str:
        """The endpoint's model. Raises UsageError when none was named and it lists several."""
        if self.endpoint.model:
            return self.endpoint.model
        try:
            names = list(self._api.models())
        except ApiFailure as failure:
            raise self._meaning(failure) from None
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
        content = [{"type": "text", "text": prompt}, image_part(picture, kind)]
        try:
            reply = self._api.complete(model, [{"role": "user", "content": content}], limit)
        except ApiFailure as failure:
            raise self._meaning(failure) from None
        estimate = (len(prompt) + len(reply.text)) // 3
        return Reply(reply.text, estimate if reply.total_tokens is None else reply.total_tokens)

    def _meaning(self, failure: ApiFailure) -> Exception:
        told, status = str(failure), failure.status
        if status == 0:
            return RemoteError(told, "is an OpenAI-compatible server running at that address?")
        if status in (401, 403):
            return EnvironmentFailure(
                told, "name the variable that holds its key with --api-key-env"
            )
        if status == 429 or status >= 500:
            if failure.wait is not None:
                self._sleep(min(failure.wait, _LONGEST_WAIT))
            return RemoteError(told, "run the same command again: it continues")
        if status == 404:
            return UsageError(told, "correct the endpoint's address or the model's name")
        return DataError(told, "correct the template or the picture")
