"""A base put together from a language model and a vision tower that were published apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .family import ModelFamily, TensorMap


@dataclass(frozen=True)
class Taken:
    """Rows (half-open ranges; none means all) of the tensor `tensor` of the `part` (`llm` or
    `vision`)."""

    part: str
    tensor: str
    rows: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Assembly:
    """`tensors` says of each official tensor what it is put together from along dimension 0.
    `fresh` ones, with their shapes, start at random, uniformly within one over the root of their
    inputs, as torch's linear layers do; a bias counts as part of its weight. `files` are JSON files
    beside config.json, `tokenizer` keys for tokenizer_config.json. `chat_prelude` goes before the
    language model's chat template, or before `chat_template` where it has none; with `own_template`
    the latter takes the place of any. `stops` are texts of tokens that end an answer, beside the
    language model's own; those that its tokenizer lacks are passed over."""

    config: Mapping[str, Any]
    tensors: Mapping[str, tuple[Taken, ...]]
    fresh: Mapping[str, tuple[int, ...]]
    files: Mapping[str, Mapping[str, Any]]
    tokenizer: Mapping[str, Any]
    chat_prelude: str
    chat_template: str
    own_template: bool = False
    stops: tuple[str, ...] = ()


class AssembledFamily(ModelFamily, Protocol):
    """A family that can be assembled, and whose adapters may name tensors as the language model's
    own layout does."""

    image_token_text: str

    def assemble(
        self, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
    ) -> Assembly:
        """From both config.json files and the id that the image token has, or will have, in the
        tokenizer.

        Raises:
            UsageError: the two cannot be put together; says why.
        """

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        """Official tensors (`name`) as rows of those of another layout (`source`), in which an
        adapter may have been trained."""
