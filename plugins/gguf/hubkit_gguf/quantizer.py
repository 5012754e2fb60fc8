"""The K types, written by llama.cpp's own `llama-quantize`: a program that the user names, asked
who it is, and whose file is read back."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, Run, UsageError, WeightsError
from hubkit.sdk.child import last_lines, run_logged

K_TYPES = ("q6_k", "q4_k_m")
_BUILD = re.compile(r"build[ =]+(\d+)\W+(?:commit )?([0-9a-f]{6,40})")
_STEP = re.compile(r"\[ *(\d+)/ *(\d+)\]")
_SECONDS = 60.0
_BLOCK = 1 << 24
_SCALES = {
    "Q4_K": (144, slice(0, 4)),
    "Q5_K": (176, slice(0, 4)),
    "Q6_K": (210, slice(208, 210)),
    "Q5_0": (22, slice(0, 2)),
    "Q5_1": (24, slice(0, 4)),
    "Q8_0": (34, slice(0, 2)),
}
"""Bytes of a block, and which of them are its float16 scales (ggml: `ggml-common.h`). The last
three stand in where a row is no multiple of 256 long (`llama-quant.cpp`)."""


def program(named: str) -> Path:
    """Raises UsageError for what is no program, before anything is written."""
    found = shutil.which(named)
    if found is None:
        raise UsageError(
            f"quantizer: {named!r} is no program that can be run",
            "give the path of llama.cpp's llama-quantize, or a name that PATH finds",
        )
    return Path(found).resolve()


def version(quantizer: Path) -> str:
    """llama.cpp's build, as the program tells it of a file that is not there.

    Raises:
        EnvironmentFailure: it cannot be run, or tells none.
    """
    with tempfile.TemporaryDirectory(prefix="hubkit-gguf-") as place:
        try:
            done = subprocess.run(
                [quantizer, "none.gguf", "out.gguf", "Q6_K"],
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
            )
            told = done.stdout.decode("utf-8", "replace")
        except (OSError, subprocess.TimeoutExpired) as error:
            told = str(error)
    build = _BUILD.search(told)
    if build is None:
        raise EnvironmentFailure(
            f"quantizer: {quantizer.name} does not say which build of llama.cpp it is "
            f"({' '.join(told.split())[:200]})",
            "name llama.cpp's llama-quantize, built for this machine",
        )
    return f"build {build[1]}, commit {build[2]}"


def quantized(quantizer: Path, source: Path, out: Path, kind: str, run: Run) -> None:
    """Writes `out`, of the type `kind`, from the GGUF file `source`.

    Raises:
        EnvironmentFailure: the quantiser failed.
        WeightsError: what it wrote is not the model, or holds a number that is none.
    """
    part = out.with_name(f"{out.name}.part")
    command = [str(quantizer), str(source), str(part), kind.upper()]

    def line(text: str) -> None:
        if step := _STEP.search(text):
            run.progress(int(step[1]), int(step[2]), "tensors quantised")

    with tempfile.TemporaryDirectory(prefix="hubkit-gguf-") as place:
        log = Path(place) / "quantizer.log"
        if code := run_logged(command, log, run, cwd=Path(place), line=line):
            raise EnvironmentFailure(
                f"{quantizer.name} ended with code {code}:\n{last_lines(log)}",
                "see its message; another build of llama.cpp may do",
            )
    for problem in _problems(source, part, kind):
        raise WeightsError(
            f"{quantizer.name}: {problem}", "name another build of llama.cpp's llama-quantize"
        )
    part.replace(out)


def _problems(source: Path, made: Path, kind: str) -> Iterator[str]:
    from gguf import GGUFReader, LlamaFileType

    try:
        before, after = GGUFReader(source), GGUFReader(made)
    except (OSError, ValueError, KeyError, IndexError) as error:
        yield f"what it wrote is no GGUF file ({error})"
        return
    field = after.fields.get("general.file_type")
    said, wanted = field.contents() if field else None, LlamaFileType[f"MOSTLY_{kind.upper()}"]
    if said != wanted:
        yield f"the file says it is of type {said}, not {int(wanted)} ({kind})"
    shapes, found = (
        {one.name: one.shape.tolist() for one in file.tensors} for file in (before, after)
    )
    if odd := sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name)):
        yield (
            f"{len(odd)} tensors are not those of the model, such as {odd[0]}: "
            f"{found.get(odd[0], 'absent')}, not {shapes.get(odd[0], 'absent')}"
        )
    for tensor in after.tensors:
        if (name := tensor.tensor_type.name) not in (*_SCALES, "F32", "F16", "BF16"):
            yield f"{tensor.name} is of type {name}, which {kind} has no use for"
        elif not _finite(tensor.data, name):
            yield f"{tensor.name} holds a number that is none"


def _finite(data: Any, kind: str) -> bool:
    """Of the numbers, or of the scales that all numbers of a block are multiplied with."""
    import numpy

    raw = data.reshape(-1).view("u1")
    size, scales = _SCALES.get(kind, (4, slice(None)))
    step = _BLOCK // size * size
    for start in range(0, len(raw), step):
        blocks = raw[start : start + step].reshape(-1, size if kind in _SCALES else 2)
        chosen = numpy.ascontiguousarray(blocks[:, scales])
        if kind == "BF16":
            numbers = (chosen.view("<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = chosen.reshape(-1).view("<f4" if kind == "F32" else "<f2")
        if not numpy.isfinite(numbers).all():
            return False
    return True
