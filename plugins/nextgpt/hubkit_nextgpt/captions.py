"""Caption embeddings for stage 2: one .npy a caption, by the text encoder of the diffusion model that is to be steered.

float16; (77, 1024) for images and video (CLIP's last hidden states), (512,) for audio (CLAP's text embedding, of length 1 as
AudioLDM takes it). What is there already and whole is not computed again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hubkit.sdk import DataError, Run, SilentRun, UsageError

if TYPE_CHECKING:
    import torch

Kind = Literal["image", "video", "audio"]
SHAPES: Mapping[str, tuple[int, ...]] = {"image": (77, 1024), "video": (77, 1024), "audio": (512,)}
_NAME = re.compile(r"[^/\\\0]+")


@dataclass(frozen=True)
class Precomputed:
    """`written` were computed by this call, `kept` were there."""

    written: int
    kept: int


def precompute(
    kind: Kind,
    captions: Path,
    model: Path,
    out: Path,
    *,
    batch_size: int = 128,
    device: str = "",
    run: Run | None = None,
) -> Precomputed:
    """`captions` is NExT-GPT's JSON: a list of `{"image_name": ..., "caption": ...}` (`video_name`, `audio_name`); the
    embedding goes to `out/NAME.npy`. `model` is the diffusion model's folder, with `text_encoder` and `tokenizer`.

    Raises:
        DataError: a record without name or caption, or two captions for one name.
        UsageError: the folder has no text encoder, or its embeddings have another shape than NExT-GPT's projections give.
    """
    run = run or SilentRun()
    wanted = _captions(captions, kind)
    out.mkdir(parents=True, exist_ok=True)
    todo = [name for name in wanted if not _whole(out / f"{name}.npy", SHAPES[kind])]
    kept = len(wanted) - len(todo)
    run.progress(kept, len(wanted), "captions")
    if not todo:
        return Precomputed(0, kept)
    encoder = _Encoder(kind, model, device)
    for start in range(0, len(todo), batch_size):
        run.check_cancelled()
        batch = todo[start : start + batch_size]
        for name, row in zip(batch, encoder([wanted[name] for name in batch]), strict=True):
            _write(out / f"{name}.npy", row)
        run.progress(kept + start + len(batch), len(wanted), "captions")
    return Precomputed(len(todo), kept)


def _captions(path: Path, kind: Kind) -> dict[str, str]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read as JSON ({error})", "name NExT-GPT's caption file") from None
    if not isinstance(data, list):
        raise DataError(f"{path.name}: a list of records is expected", "name NExT-GPT's caption file")
    found: dict[str, str] = {}
    for number, record in enumerate(data):
        where = f"{path.name}, record {number}"
        name, caption = (record.get(key) if isinstance(record, dict) else None for key in (f"{kind}_name", "caption"))
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (".", ".."):
            raise DataError(f"{where}: {kind}_name is {name!r}, not a file's name", "correct the record")
        if not isinstance(caption, str) or not caption.strip():
            raise DataError(f"{where}: caption is {caption!r}", "correct or remove the record")
        if found.setdefault(name, caption) != caption:
            raise DataError(f"{where}: {name!r} has another caption before", "keep one of them")
    return found


def _whole(path: Path, shape: tuple[int, ...]) -> bool:
    import numpy

    try:
        found = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    return bool(found.shape == shape and found.dtype == numpy.float16)


def _write(path: Path, row: Any) -> None:
    import numpy

    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        numpy.save(file, row, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class _Encoder:
    """Texts to float16 rows of the kind's shape."""

    def __init__(self, kind: Kind, model: Path, device: str) -> None:
        import torch
        from transformers import AutoTokenizer, ClapTextModelWithProjection, CLIPTextModel

        for part in ("text_encoder", "tokenizer"):
            if not (model / part).is_dir():
                raise UsageError(f"{model} has no folder {part}", "name the folder of the diffusion model, as diffusers has it")
        self._kind = kind
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        of = ClapTextModelWithProjection if kind == "audio" else CLIPTextModel
        self._tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer")
        self._model = of.from_pretrained(model / "text_encoder", dtype=dtype).eval().to(self._device)
        config = self._model.config
        self._length = self._tokenizer.model_max_length
        if kind != "audio":
            self._length = min(self._length, config.max_position_embeddings)
        elif self._length > config.max_position_embeddings:
            self._length = config.max_position_embeddings - 2  # RoBERTa's positions begin after the padding's

    def __call__(self, texts: list[str]) -> Iterator[Any]:
        import torch

        given = self._tokenizer(texts, padding="max_length", truncation=True, max_length=self._length, return_tensors="pt")
        with torch.inference_mode():
            rows = self._embed(given["input_ids"].to(self._device), given["attention_mask"].to(self._device))
        shape = SHAPES[self._kind]
        if tuple(rows.shape[1:]) != shape:
            message = f"this text encoder gives {tuple(rows.shape[1:])} a caption, NExT-GPT's {self._kind} projection {shape}"
            raise UsageError(message, "name the diffusion model that the projection was made for")
        yield from rows.to(torch.float16).cpu().numpy()

    def _embed(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        import torch

        if self._kind == "audio":
            return torch.nn.functional.normalize(self._model(ids, attention_mask=mask).text_embeds.float(), dim=-1)
        uses_mask = getattr(self._model.config, "use_attention_mask", None)
        return self._model(ids, attention_mask=mask if uses_mask else None).last_hidden_state
