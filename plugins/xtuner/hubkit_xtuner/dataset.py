"""The dataset that xtuner's loop draws from, inside the training process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import AutoTokenizer
from xtuner.dataset import InternVL_V1_5_Dataset
from xtuner.dataset.internvl_dataset import load_json_or_jsonl

from hubkit.sdk import Vision, open_picture, tiles
from hubkit.sdk.codec import decode

from .conversation import encode
from .data import record


class Conversations(InternVL_V1_5_Dataset):
    """xtuner's InternVL dataset with the tokenizer's own chat template and several pictures a
    record. A picture that cannot be read ends the training instead of being replaced by a random
    other record."""

    def __init__(
        self,
        vision: dict[str, Any],
        stops: list[int],
        *,
        model_path: str,
        data_paths: str,
        image_folders: str,
        max_length: int,
        repeat_times: int = 1,
    ) -> None:
        """In place of xtuner's own, which is for the templates of two language models, and refuses
        all others; the file that hubkit writes has every record's length."""
        self.data: list[dict[str, Any]] = load_json_or_jsonl(data_paths) * repeat_times
        self.image_folder = [image_folders] * len(self.data)
        self.group_length = [one["length"] for one in self.data]
        self.max_length, self._max_refetch = max_length, 0
        self.tokenizer = AutoTokenizer.from_pretrained(model_path, trust_remote_code=True)
        self._vision = decode(Vision, vision, "vision")
        self._stops = tuple(stops)

    def prepare_data(self, index: int) -> dict[str, Any]:
        one, folder = record(self.data[index]), Path(self.image_folder[index])
        pixels = [self._pixels(folder / name) for name in one.images]
        ids, labels = encode(
            self.tokenizer, one, [len(array) for array in pixels], self._vision, self._stops
        )
        side = self._vision.tile
        stacked = (
            numpy.concatenate(pixels)
            if pixels
            else numpy.zeros((1, 3, side, side), dtype=numpy.float32)
        )
        return {"input_ids": ids, "labels": labels, "pixel_values": torch.from_numpy(stacked)}

    def _pixels(self, path: Path) -> Any:
        """float32 (tiles, 3, side, side)."""
        with open_picture(path) as picture:
            parts = tiles(picture, self._vision)
        values = numpy.stack([numpy.asarray(part, dtype=numpy.float32) for part in parts]) / 255
        normal = (values - numpy.float32(self._vision.mean)) / numpy.float32(self._vision.std)
        return normal.transpose(0, 3, 1, 2)
