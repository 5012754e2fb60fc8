"""GGUF files, written tensor by tensor: never more than a block, or one rearranged tensor, is in
memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hubkit.sdk import Run, WeightsError
from hubkit.sdk.checkpoints import Weights

from .tensors import Tensor

_READ = 16 << 20
"""Bytes that are read at once."""
_BLOCK = 1 << 18
"""Numbers that are converted at once: what a processor's cache holds."""
_THREADS = 2
"""More wait for the disk."""
_STORED = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}


class File:
    """`path` once it is whole. `fill` puts the metadata into the library's writer."""

    def __init__(
        self,
        path: Path,
        arch: str,
        fill: Callable[[Any], None],
        tensors: Sequence[Tensor],
        kind: str,
    ) -> None:
        self.path, self.tensors, self._kind = path, tensors, kind
        self._arch, self._fill = arch, fill

    def write(self, weights: Weights, advance: Callable[[], None]) -> None:
        """Raises WeightsError for a number that is none, or has no place in the number type."""
        from gguf import GGUFWriter, LlamaFileType

        part = self.path.with_name(f"{self.path.name}.part")
        writer = GGUFWriter(part, self._arch)
        try:
            self._fill(writer)
            types = {"f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
            writer.add_file_type(LlamaFileType[types[self._kind]])
            if self._kind == "q8_0":
                writer.add_quantization_version(2)
            for tensor in self.tensors:
                self._announce(writer, weights, tensor)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            (out,) = writer.fout
            writer.write_padding(out, out.tell())
            for tensor in self.tensors:
                advance()
                written = sum(out.write(data) for data in self._data(weights, tensor))
                writer.write_padding(out, written)
        finally:
            writer.close()
        part.replace(self.path)

    def _announce(self, writer: Any, weights: Weights, tensor: Tensor) -> None:
        from gguf import GGMLQuantizationType
        from gguf.quants import quant_shape_to_byte_shape

        shape, kind = (
            self._shape(weights, tensor),
            GGMLQuantizationType[self._type(weights, tensor)],
        )
        import numpy

        held = quant_shape_to_byte_shape(shape, kind)
        size = 1
        for length in held:
            size *= length
        writer.add_tensor_info(tensor.name, held, numpy.dtype("uint8"), size, raw_dtype=kind)

    def _shape(self, weights: Weights, tensor: Tensor) -> tuple[int, ...]:
        import numpy

        shape = weights[tensor.source].shape
        if tensor.arrange is None:
            return shape
        return tuple(tensor.arrange(numpy.empty(shape, numpy.uint8)).shape)

    def _type(self, weights: Weights, tensor: Tensor) -> str:
        shape = self._shape(weights, tensor)
        if tensor.exact or len(shape) < 2:
            return "F32"
        if self._kind == "q8_0" and shape[-1] % 32:
            return "F16"
        return self._kind.upper()

    def _data(self, weights: Weights, tensor: Tensor) -> Iterator[bytes]:
        import numpy
        from gguf import GGMLQuantizationType
        from gguf.quants import quantize

        kind, dtype = self._type(weights, tensor), weights[tensor.source].dtype

        def made(stored: Any) -> bytes | None:
            """None where a number is none, or none of the type."""
            if (dtype, kind) == ("BF16", "F16"):
                return halves(stored)
            array = _floats(stored, dtype)
            with numpy.errstate(over="ignore"):
                found = quantize(array, GGMLQuantizationType[kind])
            sound = numpy.isfinite(array).all() and numpy.isfinite(_scales(found, kind)).all()
            return found.tobytes() if sound else None

        with ThreadPoolExecutor(_THREADS) as pool:
            for block in _each(pool, made, _arrays(weights, tensor)):
                if block is None:
                    raise WeightsError(
                        f"{tensor.source} holds a number that is none, or none of the type {kind}",
                        "look for NaN in the weights; type bf16 has room for numbers beyond 65,504",
                    )
                yield block


def _each(
    pool: ThreadPoolExecutor, work: Callable[[Any], bytes | None], items: Iterator[Any]
) -> Iterator[bytes | None]:
    """`work(item)` of each, in order; few are in memory at once."""
    waiting: deque[Future[bytes | None]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 2 * _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def halves(bits: Any) -> bytes | None:
    """float16 of bfloat16's bits; None where one is beyond it, or no number.

    float16's three further bits of the fraction take what bfloat16 has less of the exponent, so
    only numbers below float16's normal ones are rounded: five times as fast as by float32.
    """
    import numpy

    size = bits & numpy.uint16(0x7FFF)
    if size.size and size.max() >= 143 << 7:  # 65,536 and beyond
        return None
    made = ((bits << numpy.uint16(3)) - numpy.uint16(112 << 10 & 0xFFFF)) & numpy.uint16(0x7FFF)
    made |= bits & numpy.uint16(0x8000)
    small = size < 113 << 7
    made[small] = _floats(bits[small], "BF16").astype("<f2").view("<u2")
    return bytes(made.tobytes())


def _scales(made: Any, kind: str) -> Any:
    """The float16 numbers of a quantised array: all, or the scales of blocks of 32."""
    import numpy

    if kind == "F16":
        return made
    if kind == "Q8_0":  # block_q8_0 of ggml: a scale, then 32 bytes
        return numpy.ascontiguousarray(made.reshape(-1, 34)[:, :2]).view("<f2")
    return numpy.zeros(0)


def _arrays(weights: Weights, tensor: Tensor) -> Iterator[Any]:
    """The tensor as it is stored, bfloat16 as its bits, by rows in blocks that a processor's cache
    holds; rearranged in one piece first."""
    import numpy

    info = weights[tensor.source]
    kind = _STORED.get(info.dtype)
    if kind is None:
        raise WeightsError(
            f"weights of type {info.dtype} cannot be written as GGUF",
            "convert them to bfloat16 first",
        )
    if tensor.arrange is not None or not info.shape:
        whole = numpy.frombuffer(weights.read(tensor.source), kind).reshape(info.shape)
        arranged = numpy.ascontiguousarray(tensor.arrange(whole) if tensor.arrange else whole)
        yield from _by_rows(arranged)
        return
    step = max(1, _READ // max(1, info.row_size))
    for start in range(0, info.rows, step):
        end = min(start + step, info.rows)
        raw = weights.read(tensor.source, (start, end))
        yield from _by_rows(numpy.frombuffer(raw, kind).reshape((end - start, *info.shape[1:])))


def _by_rows(array: Any) -> Iterator[Any]:
    if array.ndim < 2:
        yield array
        return
    step = max(1, _BLOCK // max(1, array[0].size))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _floats(stored: Any, dtype: str) -> Any:
    """float32."""
    if dtype == "BF16":
        return (stored.astype("<u4") << 16).view("<f4")
    return stored.astype("<f4")


def write_all(files: Sequence[File], weights: Weights, run: Run) -> None:
    """Files that an earlier run finished stay."""
    total = sum(len(file.tensors) for file in files)
    done = 0

    def advance() -> None:
        nonlocal done
        run.check_cancelled()
        done += 1
        run.progress(done, total, "tensors")

    for file in files:
        if file.path.is_file():
            done += len(file.tensors)
        else:
            file.write(weights, advance)
