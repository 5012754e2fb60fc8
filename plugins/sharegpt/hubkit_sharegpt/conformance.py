"""Both ways to write a conversation, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubkit.sdk.testing import DatasetCase


def case(folder: Path) -> DatasetCase:
    sharegpt = {
        "conversations": [{"from": "human", "value": "<image>Hi"}, {"from": "gpt", "value": "Yes"}],
        "image": "a.png",
    }
    parts = [{"type": "image", "image": "x/b.png"}, {"type": "text", "text": "这是什么？"}]
    openai = _messages(parts, "A dish.", "Sure?", "Yes.")
    bad = {
        _write(
            folder / "unanswered.jsonl", _messages("Hi")
        ): "the last message of the user has no answer",
        _write(
            folder / "tool.jsonl", {"messages": [{"role": "tool", "content": "x"}]}
        ): "`role` is 'tool'",
        _write(
            folder / "system.jsonl", {**_messages("Hi", "Yes"), "system": "Be brief."}
        ): "a system message",
    }
    return DatasetCase(_write(folder / "good.jsonl", sharegpt, openai), 2, bad=bad)


def _messages(*contents: Any) -> dict[str, Any]:
    return {
        "messages": [
            {"role": ("user", "assistant")[n % 2], "content": content}
            for n, content in enumerate(contents)
        ]
    }


def _write(path: Path, *items: Any) -> Path:
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), "utf-8")
    return path
