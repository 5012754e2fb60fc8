"""The files beside the weights of an assembled base: the language model's tokenizer with one token
more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk.assembly import AssembledFamily, Assembly
from hubkit.sdk.errors import UsageError
from hubkit.sdk.tokens import token_ids

from ..files.disk import write_json
from ..files.outside import inside, read_json, read_text
from ..hygiene.local_paths import without_local_paths
from . import bytelevel
from .companions import written
from .native_files import SETTINGS, TEMPLATE, TOKENIZER
from .stream import WrittenFile
from .tokenizer import from_sentencepiece


def image_token_id(llm: Path, text: str) -> int:
    """The id of the special token `text`, or the one behind the tokenizer's last."""
    known = token_ids(llm)
    if text in known:
        return known[text]
    tokenizer = _tokenizer(llm)
    return max([*tokenizer["model"]["vocab"].values(), *known.values()], default=-1) + 1


def _tokenizer(llm: Path) -> dict[str, Any]:
    if inside(llm, TOKENIZER).is_file():
        found = read_json(llm, TOKENIZER)
    elif inside(llm, "tokenizer.model").is_file():
        found = from_sentencepiece(llm)
    elif all(inside(llm, name).is_file() for name in bytelevel.FILES):
        found = bytelevel.from_vocabulary(llm)
    else:
        raise UsageError(
            f"{llm}: there is no tokenizer", "give a complete folder of the language model"
        )
    if not isinstance((found.get("model") or {}).get("vocab"), dict):
        raise UsageError(
            f"{llm}: tokenizer.json has no vocabulary by text",
            "give a BPE tokenizer, as Llama's and InternLM2's",
        )
    return found


def write_files(llm: Path, out: Path, plan: Assembly, family: AssembledFamily) -> list[WrittenFile]:
    """config.json, generation_config.json, tokenizer and processor. The tokenizer becomes
    transformers' plain class."""
    number, text = image_token_id(llm, family.image_token_text), family.image_token_text
    tokenizer, settings = _tokenizer(llm), read_json(llm, SETTINGS)
    if text not in {token.get("content") for token in tokenizer.get("added_tokens") or ()}:
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        token = {"id": number, "content": text, **flags, "special": True}
        tokenizer["added_tokens"] = [*(tokenizer.get("added_tokens") or ()), token]
    decoder = settings.get("added_tokens_decoder")
    if isinstance(decoder, dict) and str(number) not in decoder:
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        settings["added_tokens_decoder"] = {
            **decoder,
            str(number): {"content": text, **flags, "special": True},
        }
    own = "" if plan.own_template else _template(llm, settings)
    template = own or plan.chat_template
    settings = {
        key: value for key, value in settings.items() if key not in ("chat_template", "auto_map")
    }
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", **plan.tokenizer}
    (out / TEMPLATE).write_text(plan.chat_prelude + template, encoding="utf-8", newline="\n")
    made = {
        "config.json": plan.config,
        TOKENIZER: tokenizer,
        SETTINGS: without_local_paths(settings),
        **plan.files,
    }
    made["generation_config.json"] = _stopping(_generation(llm, plan), tokenizer, plan.stops)
    for name, data in made.items():
        write_json(out / name, data)
    return [written(out, name) for name in (*made, TEMPLATE)]


def _stopping(
    generation: dict[str, Any], tokenizer: dict[str, Any], texts: Sequence[str]
) -> dict[str, Any]:
    """With the ids of `texts` among those that end an answer."""
    vocabulary = tokenizer["model"]["vocab"]
    if not (more := [vocabulary[text] for text in texts if text in vocabulary]):
        return generation
    found = generation.get("eos_token_id")
    known = found if isinstance(found, list) else [found] if isinstance(found, int) else []
    return {**generation, "eos_token_id": list(dict.fromkeys([*known, *more]))}


def _template(llm: Path, settings: dict[str, Any]) -> str:
    if inside(llm, TEMPLATE).is_file():
        return read_text(llm, TEMPLATE)
    template = settings.get("chat_template")
    return template if isinstance(template, str) else ""


def _generation(llm: Path, plan: Assembly) -> dict[str, Any]:
    """The language model's own; without one, its config.json says what ends an answer."""
    if inside(llm, "generation_config.json").is_file():
        return {
            key: value
            for key, value in read_json(llm, "generation_config.json").items()
            if key != "transformers_version"
        }
    text = plan.config["text_config"]
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {key: text[key] for key in keys if text.get(key) is not None}
