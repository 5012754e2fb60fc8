"""A base from a language model and a vision tower: rows of bytes are put in their places, block by
block."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hubkit.sdk.assembly import AssembledFamily, Assembly
from hubkit.sdk.errors import UsageError, WeightsError
from hubkit.sdk.run import Run

from ..files.outside import read_config, read_json
from ..files.pointers import refuse_pointers
from .adapters.opening import open_weights
from .arithmetic import require_torch
from .assembled_files import image_token_id, write_files
from .checkpoint import Checkpoint, Shard, torch_dtype
from .convert import ConvertReport, Piece, Readable, Recipe, blocks_of, indexed, new_headers
from .diagnosis import check_floats
from .header import TensorInfo
from .staging import staged
from .stream import Meter, write_file

_FRESH = "fresh"
_SEED = 0


def assemble(
    llm: Path, vision: Path, out: Path, family: AssembledFamily, run: Run, *, jobs: int = 0
) -> ConvertReport:
    """Writes a base of `family` to the new folder `out`, every tensor in the language model's
    dtype. What connects the two starts at random, in the same way each time.

    Raises:
        UsageError: the two do not go together, a file is missing, or `out` is there already.
        WeightsError: weights do not hold together, or are not those that config.json asks for.
        EnvironmentFailure: the disk is too small, or torch is not installed.
    """
    require_torch()
    refuse_pointers(llm)
    refuse_pointers(vision)
    configs = {"llm": read_config(llm), "vision": read_json(vision, "config.json")}
    plan = family.assemble(
        configs["llm"], configs["vision"], image_token_id(llm, family.image_token_text)
    )
    layout = family.layout(plan.config)
    with tempfile.TemporaryDirectory(prefix="hubkit-assemble-") as temporary, _Parts() as parts:
        parts.add("llm", open_weights(llm, "model", "pytorch_model"))
        parts.add("vision", open_weights(vision, "model", "pytorch_model"))
        recipe = _recipe(plan, layout, parts)
        dtype = next(
            parts.tensors[pieces[0].name].dtype
            for pieces in recipe.values()
            if pieces[0].name.startswith("llm:")
        )
        parts.add(_FRESH, _start(plan.fresh, dtype, Path(temporary)))
        recipe = {
            name: recipe.get(name) or [Piece(f"{_FRESH}:{name}", 0, shape[0])]
            for name, shape in layout.items()
        }
        headers = new_headers(dict.fromkeys(layout, dtype), layout)
        size = sum(
            len(header.raw) + sum(tensor.size for tensor in header.tensors) for header in headers
        )
        with staged(out, size) as folder:
            meter, gather = Meter(size, run), partial(_gather, dtype)
            files = [
                write_file(
                    folder,
                    header.tensors[0].shard,
                    header.raw,
                    blocks_of(parts, header.tensors, recipe, gather),
                    meter,
                    jobs or os.cpu_count() or 1,
                )
                for header in headers
            ]
            files += indexed(folder, headers) + write_files(llm, folder, plan, family)
            parts.check_unchanged()
    return ConvertReport(tuple(sorted(files, key=lambda file: file.path)), len(recipe))


class _Parts:
    """Several checkpoints as one: the tensor `name` of the part `llm` is `llm:name`."""

    def __init__(self) -> None:
        self._parts: dict[str, Checkpoint] = {}
        self.tensors: dict[str, TensorInfo] = {}

    def add(self, key: str, checkpoint: Checkpoint) -> None:
        self._parts[key] = checkpoint
        self.tensors |= {f"{key}:{name}": info for name, info in checkpoint.tensors.items()}

    def shard(self, name: str) -> Shard:
        key, _, plain = name.partition(":")
        return self._parts[key].shard(plain)

    def check_unchanged(self) -> None:
        for checkpoint in self._parts.values():
            checkpoint.check_unchanged()

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *reason: object) -> None:
        for checkpoint in self._parts.values():
            checkpoint.close()


def _recipe(plan: Assembly, layout: Mapping[str, tuple[int, ...]], parts: _Parts) -> Recipe:
    recipe: dict[str, list[Piece]] = {}
    problems = []
    for name, taken in plan.tensors.items():
        pieces: list[Piece] = []
        for one in taken:
            key = f"{one.part}:{one.tensor}"
            if key not in parts.tensors:
                problems.append(f"the {one.part} folder has no tensor {one.tensor!r}")
                continue
            info = parts.tensors[key]
            if info.shape[1:] != layout[name][1:]:
                problems.append(
                    f"{one.tensor!r} of the {one.part} folder is {info.shape}, {name!r} takes "
                    f"{layout[name]}"
                )
                continue
            check_floats([info])
            pieces += [Piece(key, start, stop) for start, stop in one.rows or ((0, info.rows),)]
        rows = sum(piece.stop - piece.start for piece in pieces)
        if pieces and rows != (layout[name][0] if layout[name] else 1):
            problems.append(f"{name!r} gets {rows} rows, it takes {layout[name][0]}")
        recipe[name] = pieces
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise WeightsError(
            f"config.json and the weights disagree: {'; '.join(problems[:8])}{more}",
            "give complete, unquantised folders",
        )
    return recipe


def _start(shapes: Mapping[str, tuple[int, ...]], dtype: str, folder: Path) -> Checkpoint:
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(_SEED)
    tensors: dict[str, Any] = {}
    for name, shape in shapes.items():
        inputs = shapes.get(name.removesuffix("bias") + "weight", shape)[-1]
        values = (torch.rand(shape, generator=generator) * 2 - 1) / inputs**0.5
        tensors[name] = values.to(torch_dtype(dtype, name))
    if not tensors:
        raise UsageError(
            "this family has nothing between its parts to start",
            "merge an adapter into its base instead",
        )
    save_file(tensors, folder / "model.safetensors")
    return Checkpoint.open(folder)


def _gather(dtype: str, weights: Readable, pieces: Sequence[Piece]) -> Callable[[memoryview], None]:
    """As convert's, into the bytes of another dtype where need be."""

    def fill(view: memoryview) -> None:
        import torch

        at, wanted = 0, torch_dtype(dtype, "the base")
        for piece in pieces:
            info = weights.tensors[piece.name]
            own = bytearray((piece.stop - piece.start) * info.row_size)
            weights.shard(piece.name).read_into(
                memoryview(own), info.start + piece.start * info.row_size
            )
            if info.dtype != dtype:
                values = torch.frombuffer(own, dtype=torch_dtype(info.dtype, piece.name)).to(wanted)
                own = bytearray(values.view(torch.uint8).numpy().tobytes())
            view[at : at + len(own)] = own
            at += len(own)

    return fill
