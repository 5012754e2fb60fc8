"""The delta as hubkit sees it: a model folder whose config.json says what is in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from hubkit.sdk import (
    CardFacts,
    Companions,
    NativeModel,
    Problem,
    RecognisedModel,
    Support,
    UsageError,
    Vision,
    json_text,
)
from hubkit.sdk.codec import encode

from . import names
from .legacy import CHECKPOINT, DELTA
from .licenses import FILE, components, table

_ARCHITECTURE = "NextGPTDelta"
_USAGE = """{words}

```bash
python -m hubkit_nextgpt restore ./{{repository}} --base ./vicuna --out ./{place}
```"""
_WORDS = {
    "en": (
        "This repository holds a delta: projections, LoRA and the embedding rows that the base "
        "language model has not. With that model it becomes the checkpoint that NExT-GPT's code "
        "loads:"
    ),
    "zh": (
        "本仓库只含增量：投影层、LoRA，以及基座语言模型没有的嵌入行。"
        "与该模型合在一起，就是 NExT-GPT 的代码所加载的检查点："
    ),
}
_PARTS = {"en": "Parts and their licences", "zh": "组成部分及其许可证"}


class NextGPT:
    """Knows the folder that `python -m hubkit_nextgpt pack` makes, so that `hubkit check`, `card`,
    `track`, `push` and `verify` take it. It is asked by NExT-GPT's own code only: `smoke` and
    `verify --deep` refuse it."""

    kind: ClassVar[str] = "family"
    name: ClassVar[str] = "nextgpt"
    sdk: ClassVar[str] = "1.1"
    support: ClassVar[Support] = Support(
        {"en": "NExT-GPT's delta", "zh": "NExT-GPT 的增量"},
        trainers=("nextgpt_stages",),
        engines=(),
        layouts=("official",),
        proved=("check",),
    )

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("architectures") == [_ARCHITECTURE]

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        layout = self.layout(config)
        total = sum(math.prod(shape) for shape in layout.values())
        lora = config.get("lora")
        what = f"LoRA of rank {lora['rank']}, " if isinstance(lora, dict) and "rank" in lora else ""
        return RecognisedModel(
            self.name,
            f"NExT-GPT delta ({what}projections, embedding rows; {total:,} parameters)",
            total,
        )

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        tensors = config.get("tensors")
        if not isinstance(tensors, dict) or not tensors:
            raise UsageError(
                "config.json: `tensors` must map names to shapes", "pack the delta again"
            )
        for name, shape in tensors.items():
            if (
                not isinstance(shape, list)
                or len(shape) > 64
                or not all(type(n) is int and 0 <= n < 1 << 31 for n in shape)
            ):
                raise UsageError(
                    f"config.json: tensors: {name!r} has no shape", "pack the delta again"
                )
        return {name: tuple(shape) for name, shape in tensors.items()}

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        self._refuse()

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "a delta of NExT-GPT cannot be loaded without its base models and its own code",
            "restore it with `python -m hubkit_nextgpt restore`, and ask it with `python -m "
            "hubkit_nextgpt demo`",
        )

    def companions(self, config: Mapping[str, Any]) -> Companions:
        return Companions(
            (FILE,),
            (
                "added_tokens.json",
                "special_tokens_map.json",
                "tokenizer_config.json",
                "tokenizer.model",
            ),
        )

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return (*_of_tensors(self.layout(config), config), *_of_licenses(folder, config))

    def repository_problem(self, repository: str) -> str | None:
        plain = "".join(c for c in repository.rpartition("/")[2].lower() if c.isalnum())
        return None if "nextgpt" in plain else "the name of a NExT-GPT must contain NExT-GPT"

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        # where inference.py of the legacy code, or merge_lora_weights.py of the current, look for
        # it
        place = DELTA if CHECKPOINT in _files(config) else "checkpoints/finetune_1"
        usage = {
            language: {
                "NExT-GPT": _USAGE.format(words=words, place=place),
                _PARTS[language]: table(components(config.get("components", ())), language),
            }
            for language, words in _WORDS.items()
        }
        return CardFacts(
            library_name="hubkit",
            pipeline_tag="any-to-any",
            tags=("nextgpt", "delta", "any-to-any"),
            usage=usage["en"],
            relation="adapter",
            usage_in=usage,
        )


def _of_tensors(
    layout: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]
) -> Iterator[Problem]:
    remedy = "pack the delta again"
    lora, embeddings = config.get("lora"), config.get("embeddings")
    rank = lora.get("rank") if isinstance(lora, dict) else None
    if not isinstance(embeddings, dict):
        yield Problem("config.json: embeddings", "is missing", remedy)
        return
    for name, shape in layout.items():
        if names.group(name) == names.OTHER:
            yield Problem("config.json: tensors", f"{name} is {names.OTHER}", remedy)
        elif (pair := names.lora(name)) and (
            len(shape) != 2 or shape[0 if pair[1] == "A" else 1] != rank
        ):
            yield Problem("config.json: lora", f"rank is {rank}, {name} is {shape}", remedy)
    if sorted(name for found in _files(config).values() for name in found) != sorted(
        {*layout, *embeddings}
    ):
        yield Problem("config.json: files", "do not have each tensor and embedding once", remedy)
    for name, entry in embeddings.items():
        try:
            rows = sum(last - first for first, last in entry["rows"])
            good = rows == (layout[name][0] if name in layout else 0)
        except (KeyError, TypeError, ValueError, IndexError):
            good = False
        if not good:
            yield Problem(
                "config.json: embeddings", f"the rows of {name} are not those that are kept", remedy
            )


def _files(config: Mapping[str, Any]) -> dict[str, list[str]]:
    files = config.get("files")
    found = files.items() if isinstance(files, dict) else ()
    return {
        file: [str(name) for name in listed] for file, listed in found if isinstance(listed, list)
    }


def _of_licenses(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        stated = encode(components(json_text.load(folder / FILE)))
    except UsageError as error:
        yield Problem(FILE, error.message, error.remedy)
        return
    except (OSError, ValueError, TypeError):
        yield Problem(FILE, "cannot be read", "pack the delta again")
        return
    if stated != config.get("components"):
        yield Problem(FILE, "says other licences than config.json", "pack the delta again")
