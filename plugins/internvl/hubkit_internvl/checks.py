"""What only the family can judge of a folder: special tokens, stops, template, code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import Problem, UsageError, json_text, stop_ids, token_ids
from hubkit.sdk.families import folder_problems

from .remote_code import check_code
from .settings import Settings

IMAGE_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>")
GROUNDING_TOKENS = ("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")
ADDED = (*IMAGE_TOKENS, *GROUNDING_TOKENS)
STOPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "internlm2-chat": ("<|im_end|>", ("<|im_start|>", "</s>")),
    "internvl2_5": ("<|im_end|>", ("<|im_start|>", "</s>", "<|endoftext|>")),
    "internvl_zh": ("</s>", ()),
    "Hermes-2": ("<|im_end|>", ("<|im_start|>", "</s>", "<|endoftext|>", "<|end_of_text|>")),
    "internvl3_5_gpt_oss": ("<|return|>", ()),
    "phi3-chat": ("<|end|>", ("<|endoftext|>", "</s>", "<|assistant|>")),
}
"""The templates of OpenGVLab's conversation.py: what ends an answer, and what a model may say
instead."""

_FROM_BASE = "copy {} from the base model"
_TOKENIZER = "copy all tokenizer files from the base model"


def check(folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        ids = token_ids(folder)
        _vocabulary(config)
    except UsageError as error:
        return (Problem("tokenizer", error.message, error.remedy), *check_code(folder, config))
    return (
        *_check_tokens(ids, config),
        *_check_stops(folder, config, ids),
        *_check_template(config),
        *folder_problems(folder, config),
        *check_code(folder, config),
    )


def _vocabulary(config: Mapping[str, Any]) -> int:
    return Settings(config, "llm_config").size("vocab_size")


def _check_tokens(ids: Mapping[str, int], config: Mapping[str, Any]) -> Iterator[Problem]:
    rows = _vocabulary(config)
    for token in ADDED:
        if token not in ids:
            yield Problem(
                "tokenizer",
                f"lacks the special token {token}",
                _FROM_BASE.format("the tokenizer's files"),
            )
        elif ids[token] >= rows:
            yield Problem(
                "tokenizer",
                f"{token} has id {ids[token]}, but llm_config.vocab_size is {rows}",
                "take tokenizer and config.json from one model",
            )
    yield from _check_order(ids)


def _check_order(ids: Mapping[str, int]) -> Iterator[Problem]:
    """OpenGVLab adds the nine tokens at once, so that their ids follow one another in every size
    and series; no two tokens of a tokenizer share an id."""
    nine = [token for token in ADDED if token in ids]
    first = ids[nine[0]] if nine else 0
    if len(nine) == len(ADDED) and [ids[token] for token in nine] != list(
        range(first, first + len(nine))
    ):
        found = ", ".join(f"{token} {ids[token]}" for token in nine)
        yield Problem(
            "tokenizer",
            f"the ids of the special tokens do not follow one another: {found}",
            _TOKENIZER,
        )
    owners: dict[int, str] = {}
    for token, number in ids.items():
        if owners.setdefault(number, token) != token:
            yield Problem(
                "tokenizer", f"{owners[number]} and {token} both have the id {number}", _TOKENIZER
            )


def _check_stops(
    folder: Path, config: Mapping[str, Any], ids: Mapping[str, int]
) -> Iterator[Problem]:
    where = "generation_config.json: eos_token_id"
    generation, problem = _read(folder / "generation_config.json")
    if problem:
        yield problem
        return
    try:
        stops = set(stop_ids(generation))
    except UsageError as error:
        yield Problem(where, error.message, error.remedy)
        return
    if beyond := sorted(stop for stop in stops if stop >= _vocabulary(config)):
        yield Problem(
            where,
            f"{beyond} are beyond the vocabulary",
            _FROM_BASE.format("generation_config.json"),
        )
    end, others = STOPS.get(str(config.get("template")), ("", ()))
    if end and ids.get(end) not in stops:
        yield Problem(
            where,
            f"{end} ({ids.get(end)}) is not in it: the model would not stop",
            f"add the id of {end}",
        )
    if others and not any(ids.get(other) in stops for other in others):
        yield Problem(
            where,
            f"holds only one way to stop; one of {', '.join(others)} belongs there too",
            "add its id",
        )


def _check_template(config: Mapping[str, Any]) -> Iterator[Problem]:
    template = config.get("template")
    if template not in STOPS:
        yield Problem(
            "config.json: template",
            f"is {template!r}, not one of {', '.join(STOPS)}",
            "set the base model's template",
        )


def _read(path: Path) -> tuple[dict[str, Any], Problem | None]:
    try:
        data = json_text.load(path)
    except FileNotFoundError:
        return {}, Problem(path.name, "is missing", _FROM_BASE.format(path.name))
    except OSError as error:
        return {}, Problem(
            path.name, f"cannot be read: {error.strerror}", _FROM_BASE.format(path.name)
        )
    except ValueError as error:
        return {}, Problem(path.name, f"is not JSON: {error}", _FROM_BASE.format(path.name))
    if not isinstance(data, dict):
        return {}, Problem(path.name, "is not a JSON object", _FROM_BASE.format(path.name))
    return data, None
