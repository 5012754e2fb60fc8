"""Pictures that the model's own processor arranges (`Vision.fit` is `processor`): what a model
takes for a conversation, in one way for training and for generation.

The processor is transformers' own, of a native folder; no code of the folder is run. What it gives
beside ids is carried under the processor's names and never looked at: a tensor has one entry a
token in dimension 1, or belongs to the pictures and is put together along dimension 0. Needs torch,
transformers and Pillow when it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import DataError, UsageError

_IDS, _MASK = "input_ids", "attention_mask"


@dataclass(frozen=True)
class Inputs:
    """What a model takes for a piece of a conversation. `tokens` are tensors (1, tokens, ...) and
    `pictures` tensors (any number, ...), both by the processor's names for them."""

    ids: tuple[int, ...]
    tokens: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        tensors = (*self.tokens.values(), *self.pictures.values())
        return 8 * len(self.ids) + sum(int(tensor.nbytes) for tensor in tensors)

    def digest(self) -> str:
        """sha256 of the ids and of every tensor: name, number type, shape and bytes."""
        found = hashlib.sha256(repr(self.ids).encode())
        for name, tensor in sorted({**self.tokens, **self.pictures}.items()):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()


def load_tokenizer(native: Path) -> Any:
    """The fast tokenizer of a native folder, with its chat template.

    Raises:
        UsageError: the folder has no tokenizer.json or no chat template.
    """
    from ._processors import fast_tokenizer

    tokenizer = fast_tokenizer(native)
    if not tokenizer.chat_template:
        raise UsageError(
            "the tokenizer has no chat_template", "copy tokenizer_config.json from the base model"
        )
    return tokenizer


@dataclass(frozen=True)
class Processor:
    """transformers' processor of a folder, and the folder's chat template."""

    processor: Any
    template: str
    marks: int = 1
    """How many of its marks stand for a picture in the template's text: BLIP-2's without a number
    of its own are written out, one a position (MiniGPT-4)."""
    split: bool = False
    """The language model reads a text with an encoder, and writes with a decoder that sees nothing
    else of it: answers are no part of what it takes."""

    @classmethod
    def open(cls, native: Path) -> Processor:
        """Image processors that work with Pillow are preferred to those that need torchvision: the
        two differ in the last bits, and all machines shall see the same.

        Raises:
            UsageError: the folder has no processor or no chat template, or one of another kind.
            EnvironmentFailure: the installed transformers does not know the processor, or it needs
                a package that is not there.
        """
        from ._processors import load, read_config

        processor = load(native)
        template = processor.chat_template or processor.tokenizer.chat_template
        if isinstance(template, Mapping):
            template = template.get("default")
        if not isinstance(template, str):
            raise UsageError(
                f"{native.name} has no chat template",
                "copy chat_template.jinja, or the file that has it, from the base model",
            )
        config = read_config(native)
        text = getattr(config, "text_config", config)
        queries = getattr(config, "num_query_tokens", 1)
        written = getattr(processor, "num_query_tokens", 0) is None
        split = bool(getattr(text, "is_encoder_decoder", False))
        return cls(processor, template, queries if written else 1, split)

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @property
    def leads(self) -> bool:
        """Whether the processor puts a picture's positions before the text and special tokens
        around it, with no mark of the picture in the text: BLIP's do (transformers 5.23,
        Blip2Processor). Their models take one picture, at the beginning of a conversation."""
        return getattr(self.processor, "num_query_tokens", None) is not None

    def render(self, messages: list[dict[str, Any]], speak: bool) -> str:
        """A Render of `hubkit.sdk.chat`, for messages whose contents are lists of parts."""
        return str(
            self.processor.apply_chat_template(
                messages, chat_template=self.template, add_generation_prompt=speak, tokenize=False
            )
        )

    def short_ids(self, text: str) -> tuple[int, ...]:
        """The ids of the beginning of a rendered text, in which each picture has one position."""
        mark = str(getattr(self.processor, "image_token", ""))
        if self.marks > 1:
            text = text.replace(mark * self.marks, mark)
        ids = self.tokenizer(text, add_special_tokens=self.leads).input_ids
        if not self.leads:
            return tuple(ids)
        return (int(self.tokenizer.convert_tokens_to_ids(mark)), *ids)

    def inputs(
        self,
        text: str,
        pictures: Sequence[Any] = (),
        where: str = "the prompt",
        begins: bool | None = None,
    ) -> Inputs:
        """A piece of a rendered conversation with its pictures, RGB images of PIL; `where` names it
        in errors. `begins` says whether it is the first one; None, that it is if it has pictures.

        Raises:
            UsageError: the template does not put one mark for each picture, or the processor's
                files lack something.
            DataError: the processor cannot take a picture, for its shape for example, or the model
                not so many.
        """
        begins = bool(pictures) if begins is None else begins
        if self.leads or (self.marks > 1 and begins and not pictures):
            _check_leading(len(pictures), begins, where)
        mark = "" if self.leads else str(getattr(self.processor, "image_token", None) or "")
        if mark and text.count(mark) != self.marks * len(pictures):
            raise UsageError(
                f"{where}: the chat template puts {text.count(mark)} {mark} for {len(pictures)} "
                "pictures",
                "use the chat template of the model's own processor, which takes messages as lists "
                "of texts and images",
            )
        given = {"images": list(pictures)} if pictures else {}
        try:
            output = self.processor(
                text=[text],
                add_special_tokens=self.leads and begins,
                return_tensors="pt",
                **given,
            )
        except (ValueError, OSError) as error:
            raise DataError(
                f"{where}: the model's processor does not take it ({error})",
                "correct the record or its picture, or leave it out",
            ) from None
        except (TypeError, KeyError, AttributeError, IndexError, ZeroDivisionError) as error:
            raise UsageError(
                f"{where}: the model's processor fails ({type(error).__name__}: {error}): its "
                "files lack a setting, or are of another model",
                "copy the processor's files from the model's own repository; `hubkit check` names "
                "what is missing",
            ) from None
        return self._sorted(dict(output), len(pictures))

    def _sorted(self, output: dict[str, Any], pictures: int) -> Inputs:
        import torch

        ids = tuple(output.pop(_IDS)[0].tolist())
        output.pop(_MASK, None)
        beside = self._beside(output)
        if not pictures:
            output = {name: value for name, value in output.items() if name not in beside}
        if strange := [name for name, value in output.items() if not torch.is_tensor(value)]:
            raise UsageError(
                f"the model's processor gives {', '.join(sorted(strange))} in no tensor, for "
                f"{pictures} pictures of one prompt",
                "one picture a prompt may do; else train and serve this model elsewhere",
            )
        own = {*getattr(self.processor.image_processor, "model_input_names", ()), *beside}
        aligned = {
            name: value
            for name, value in output.items()
            if name not in own and tuple(value.shape[:2]) == (1, len(ids))
        }
        rest = {name: value for name, value in output.items() if name not in aligned}
        return Inputs(ids, aligned, rest)

    def _beside(self, output: Mapping[str, Any]) -> set[str]:
        """What further tokenizers make of the text for the part that sees (`qformer_tokenizer`:
        `qformer_input_ids`): it belongs to the picture."""
        parts = [name for name in self.processor.get_attributes() if name.endswith("_tokenizer")]
        starts = tuple(part.removesuffix("tokenizer") for part in parts)
        return {name for name in output if starts and name.startswith(starts)}


def _check_leading(pictures: int, begins: bool, where: str) -> None:
    if pictures != begins:
        raise DataError(
            f"{where}: {pictures} pictures here; this model sees one, at the beginning of a "
            "conversation",
            "make a record of each picture, with one <image> in its first prompt",
        )


def joined(pieces: Sequence[Inputs]) -> Inputs:
    """The pieces of one conversation, one after the other."""
    import torch

    ids = tuple(number for piece in pieces for number in piece.ids)
    aligned = {
        name: torch.cat([_tokens_of(piece, name, pieces) for piece in pieces], 1)
        for name in _names(piece.tokens for piece in pieces)
    }
    return Inputs(ids, aligned, _stacked(pieces))


def batched(rows: Sequence[Inputs], pad: int, side: Literal["left", "right"]) -> dict[str, Any]:
    """The model's arguments for several conversations, padded to the longest with the id `pad` and,
    where a tensor has an entry a token, with 0; `attention_mask` says where."""
    import torch
    from torch.nn.functional import pad as padded

    width = max(len(row.ids) for row in rows)

    def filled(tensor: Any, length: int, value: int) -> Any:
        room = (width - length, 0) if side == "left" else (0, width - length)
        return padded(tensor, (*[0, 0] * (tensor.ndim - 2), *room), value=value)

    given = {
        _IDS: torch.cat([filled(torch.tensor([row.ids]), len(row.ids), pad) for row in rows]),
        _MASK: torch.cat(
            [
                filled(torch.ones((1, len(row.ids)), dtype=torch.int64), len(row.ids), 0)
                for row in rows
            ]
        ),
    }
    for name in _names(row.tokens for row in rows):
        own = [filled(_tokens_of(row, name, rows), len(row.ids), 0) for row in rows]
        given[name] = torch.cat(_alike(own))
    return given | _stacked(rows)


def _names(found: Any) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one))


def _tokens_of(piece: Inputs, name: str, beside: Sequence[Inputs]) -> Any:
    """The piece's entries a token, 0 where it has none and others do."""
    if name in piece.tokens:
        return piece.tokens[name]
    example = next(one.tokens[name] for one in beside if name in one.tokens)
    return example.new_zeros((1, len(piece.ids), *example.shape[2:]))


def _stacked(rows: Sequence[Inputs]) -> dict[str, Any]:
    """Tensors of pictures along dimension 0. The others are filled up with 0 to the largest, as
    processors do for pictures of several numbers of tiles."""
    import torch

    return {
        name: torch.cat(_alike([row.pictures[name] for row in rows if name in row.pictures]))
        for name in _names(row.pictures for row in rows)
    }


def _alike(tensors: list[Any]) -> list[Any]:
    from torch.nn.functional import pad as padded

    most = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    return [
        padded(
            tensor,
            [
                n
                for size, own in zip(most[::-1], tensor.shape[:0:-1], strict=True)
                for n in (0, size - own)
            ],
        )
        for tensor in tensors
    ]
