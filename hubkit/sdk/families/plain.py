"""A family from a few tables."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from .. import json_text
from ..chat import stop_ids
from ..errors import UsageError
from ..family import (
    CardFacts,
    Companions,
    ModuleGroup,
    NativeModel,
    Problem,
    RecognisedModel,
    TensorMap,
)
from ..tokens import token_ids
from ..vision import Vision
from .blocks import Shapes
from .servers import server
from .soundness import folder_problems, processor_problems

_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_REQUIRED = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json|tokenizer.model|vocab.json",
    "preprocessor_config.json|processor_config.json",
)
_OPTIONAL = (
    *(
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "merges.txt",
    ),
    *(
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "video_preprocessor_config.json",
    ),
    "vocab.json",
)
_TRANSFORMERS = """```python
from transformers import pipeline

ask = pipeline("image-text-to-text", model="{repository}")
content = [
    {"type": "image", "path": "picture.png"},
    {"type": "text", "text": "What is in this picture?"},
]
talk = [{"role": "user", "content": content}]
answers = ask(text=talk, max_new_tokens=256, return_full_text=False)
print(answers[0]["generated_text"])
```"""
_LMDEPLOY = """```python
from lmdeploy import pipeline
from lmdeploy.vl import load_image

pipe = pipeline("{repository}")
print(pipe(("What is in this picture?", load_image("picture.png"))).text)
```

"""


class PlainFamily(ABC):
    """`architectures` are recognised. `held` maps prefixes of published names to those that
    transformers holds in memory, the first that fits. `groups` are by names in memory. `spellings`
    pairs prefixes of published names with those that some versions of transformers write. `mark`
    must be in a repository's name, in any case of its letters. `servers` have a command in the
    card."""

    kind: ClassVar[str] = "family"
    sdk: ClassVar[str] = "1.1"
    name: ClassVar[str]
    title: ClassVar[str]
    mark: ClassVar[str]
    architectures: ClassVar[tuple[str, ...]]
    held: ClassVar[tuple[tuple[str, str], ...]]
    groups: ClassVar[Mapping[str, ModuleGroup]]
    chat_prelude: ClassVar[str] = ""
    spellings: ClassVar[tuple[tuple[str, str], ...]] = ()
    servers: ClassVar[tuple[str, ...]] = ("vLLM",)

    @abstractmethod
    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        """Every published tensor's name and shape; UsageError names a key that is missing."""

    @abstractmethod
    def vision(
        self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None
    ) -> Vision: ...

    def image_token(self, config: Mapping[str, Any]) -> tuple[str, int | None]:
        """The key of config.json that holds the image token's id, and the id."""
        key = next(
            (key for key in ("image_token_id", "image_token_index") if key in config),
            "image_token_id",
        )
        value = config.get(key)
        return key, value if isinstance(value, int) else None

    def recognises(self, config: Mapping[str, Any]) -> bool:
        architectures = config.get("architectures")
        return isinstance(architectures, list) and any(
            name in architectures for name in self.architectures
        )

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        total = sum(math.prod(shape) for shape in self.layout(config).values())
        short = f"{total / 1e9:.1f} B" if total >= 999_500_000 else f"{total / 1e6:.2f} M"
        return RecognisedModel(self.name, f"{self.title} ({short} parameters)", total)

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        return dict(self.shapes(config))

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        key, number = self.image_token(config)
        wanted = self.vision(config, None).context
        if tokens is not None and tokens.get(wanted) != number:
            raise UsageError(
                f"config.json: {key} is {number}, but {wanted} has id {tokens.get(wanted)} in the "
                "tokenizer",
                "take config.json and the tokenizer's files from one model",
            )
        return NativeModel(
            config=self.native_config(config),
            tensors=tuple(TensorMap(self._in_memory(name), name) for name in self.layout(config)),
            groups=self.groups,
            chat_prelude=self.chat_prelude,
        )

    def native_config(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in config.items() if name != "auto_map"}

    def _in_memory(self, name: str) -> str:
        return next(
            (new + name[len(old) :] for old, new in self.held if name.startswith(old)), name
        )

    def companions(self, config: Mapping[str, Any]) -> Companions:
        required = {name for need in _REQUIRED for name in need.split("|")}
        return Companions(_REQUIRED, tuple(name for name in _OPTIONAL if name not in required))

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return (
            *self._problems(folder, config),
            *processor_problems(folder),
            *folder_problems(folder, config),
        )

    def _problems(self, folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
        remedy = "take config.json, generation_config.json and the tokenizer's files from one model"
        try:
            ids, wanted = token_ids(folder), self.vision(config, None).context
            generation = json_text.load(folder / "generation_config.json")
            stops = stop_ids(generation if isinstance(generation, dict) else {})
        except (UsageError, OSError, ValueError) as error:
            yield Problem(
                "tokenizer or generation_config.json", str(getattr(error, "message", error)), remedy
            )
            return
        key, number = self.image_token(config)
        if wanted not in ids:
            yield Problem("tokenizer", f"lacks the special token {wanted}", remedy)
        elif ids[wanted] != number:
            yield Problem(
                f"config.json: {key}", f"is {number}, but {wanted} has id {ids[wanted]}", remedy
            )
        rows = next(
            (
                shape[0]
                for name, shape in self.shapes(config)
                if name.endswith(("embed_tokens.weight", ".shared.weight"))
            ),
            0,
        )
        if beyond := sorted(one for one in {*stops, ids.get(wanted, 0)} if one >= rows):
            yield Problem(
                "config.json: vocab_size", f"is {rows}; the ids {beyond} are beyond it", remedy
            )

    def repository_problem(self, repository: str) -> str | None:
        """Servers and readers know a family by the repository's name; LMDeploy picks prompt
        templates by it."""
        *organisation, name = repository.split("/")
        if len(organisation) > 1:
            return f"{repository!r} has more than one slash; the form is organisation/name or name"
        for part in (*organisation, name):
            if (
                not _PART.fullmatch(part)
                or "--" in part
                or ".." in part
                or part.endswith((".git", ".ipynb"))
            ):
                return (
                    f"{part!r} is not a valid name on the hubs: 1 to 96 letters, digits, '-', '_' "
                    "and '.', no '--' or '..'"
                )
        if self.mark.lower() not in name.lower():
            return (
                f"{name!r} does not contain {self.mark!r}: a {self.title} model is found, and its "
                "prompt chosen, by its name"
            )
        return None

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        tags = (self.name, "vision-language")
        return CardFacts(
            "transformers",
            "image-text-to-text",
            tags,
            {
                "Transformers": _TRANSFORMERS,
                "LMDeploy": _LMDEPLOY + server("LMDeploy"),
                **{program: server(program) for program in self.servers},
            },
        )
