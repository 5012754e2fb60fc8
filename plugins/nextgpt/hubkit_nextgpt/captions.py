"""Caption embeddings for stages 2 and 3: one .npy a caption, by the text encoder of the diffusion
model that is to be steered.

float16; images and video CLIP's last hidden states: (77, 1024), for images also (77, 768), which
the legacy code's projection gives (Stable Diffusion 1.5); audio (512,), CLAP's text embedding, of
length 1 as AudioLDM takes it. What is there already and whole is not computed again. A caption that
is too long loses its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.sdk import Run, SilentRun, UsageError, json_text

from .caption_file import Kind, read_captions

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]
SHAPES: Mapping[str, tuple[Shape, ...]] = {
    "image": ((77, 1024), (77, 768)),
    "video": ((77, 1024),),
    "audio": ((512,),),
}


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
    """`captions` is a caption file of NExT-GPT's legacy code, a list of `{"image_name": ...,
    "caption": ...}` (`video_name`, `audio_name`), whose embeddings go to `out/NAME.npy`; or one of
    the current code, a list of records with `image_captions` and `image_caption_embeddings` (texts
    or lists of them), which name the files; records of other kinds are passed over. `model` is the
    diffusion model's folder, with `text_encoder` and `tokenizer`.

    Raises:
        DataError: a record without name or caption, or two captions for one name.
        UsageError: the folder has no text encoder, or its embeddings have another shape than
            NExT-GPT's projections give.
    """
    run = run or SilentRun()
    wanted, shape = read_captions(captions, kind), _shape(kind, model)
    out.mkdir(parents=True, exist_ok=True)
    todo = [name for name in wanted if not _whole(out / name, shape)]
    kept = len(wanted) - len(todo)
    run.progress(kept, len(wanted), "captions")
    if not todo:
        return Precomputed(0, kept)
    encoder = _Encoder(kind, model, device)
    for start in range(0, len(todo), batch_size):
        run.check_cancelled()
        batch = todo[start : start + batch_size]
        for name, row in zip(batch, encoder([wanted[name] for name in batch]), strict=True):
            if row.shape != shape:
                raise UsageError(
                    f"the text encoder gives {row.shape}, its config.json says {shape}",
                    "download the model again",
                )
            _write(out / name, row)
        run.progress(kept + start + len(batch), len(wanted), "captions")
    return Precomputed(len(todo), kept)


def _shape(kind: Kind, model: Path) -> Shape:
    """Of the embeddings, by the text encoder's config.json."""
    remedy = "name the folder of the diffusion model, as diffusers has it"
    for part in ("text_encoder", "tokenizer"):
        if not (model / part).is_dir():
            raise UsageError(f"{model} has no folder {part}", remedy)
    try:
        config = json_text.load(model / "text_encoder/config.json")
        shape = (config["projection_dim"],) if kind == "audio" else (77, config["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{model} has no text_encoder/config.json of a text encoder for {kind}", remedy
        ) from None
    if shape not in SHAPES[kind]:
        message = (
            f"this text encoder gives {shape} a caption, NExT-GPT's {kind} projection "
            f"{' or '.join(map(str, SHAPES[kind]))}"
        )
        raise UsageError(message, "name the diffusion model that the projection was made for")
    return shape


def _whole(path: Path, shape: Shape) -> bool:
    import numpy

    try:
        found = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
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

        self._kind = kind
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        of = ClapTextModelWithProjection if kind == "audio" else CLIPTextModel
        self._tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer")
        self._model = (
            of.from_pretrained(model / "text_encoder", dtype=dtype).eval().to(self._device)
        )
        config = self._model.config
        self._length = self._tokenizer.model_max_length
        if kind != "audio":
            self._length = min(self._length, config.max_position_embeddings)
        elif self._length > config.max_position_embeddings:
            self._length = (
                config.max_position_embeddings - 2
            )  # RoBERTa's positions begin after the padding's

    def __call__(self, texts: list[str]) -> Iterator[Any]:
        import torch

        given = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        )
        with torch.inference_mode():
            rows = self._embed(
                given["input_ids"].to(self._device), given["attention_mask"].to(self._device)
            )
        yield from rows.to(torch.float16).cpu().numpy()

    def _embed(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        import torch

        if self._kind == "audio":
            return torch.nn.functional.normalize(
                self._model(ids, attention_mask=mask).text_embeds.float(), dim=-1
            )
        uses_mask = getattr(self._model.config, "use_attention_mask", None)
        return self._model(ids, attention_mask=mask if uses_mask else None).last_hidden_state
