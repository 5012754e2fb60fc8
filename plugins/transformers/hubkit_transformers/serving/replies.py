"""The JSON objects of OpenAI's chat API that this server sends."""

from __future__ import annotations

from typing import Any

from .generator import Ended


def models(name: str) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "hubkit"}],
    }


def completion(name: str, identifier: str, created: int, text: str, ended: Ended) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": ended.finish,
        "logprobs": None,
    }
    return {
        **_head("chat.completion", name, identifier, created),
        "choices": [choice],
        "usage": _usage(ended),
    }


def chunk(
    name: str, identifier: str, created: int, delta: dict[str, str], finish: str | None = None
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {**_head("chat.completion.chunk", name, identifier, created), "choices": [choice]}


def usage_chunk(name: str, identifier: str, created: int, ended: Ended) -> dict[str, Any]:
    return {
        **_head("chat.completion.chunk", name, identifier, created),
        "choices": [],
        "usage": _usage(ended),
    }


def _head(kind: str, name: str, identifier: str, created: int) -> dict[str, Any]:
    return {"id": identifier, "object": kind, "created": created, "model": name}


def _usage(ended: Ended) -> dict[str, int]:
    return {
        "prompt_tokens": ended.prompt_tokens,
        "completion_tokens": ended.answer_tokens,
        "total_tokens": ended.prompt_tokens + ended.answer_tokens,
    }
