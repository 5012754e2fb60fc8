"""GGUF files, written tensor by tensor: never more than a block, or one rearranged tensor, is in
memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import Run, WeightsError
from hubkit.sdk.checkpoints import Weights

from .tensors import Tensor

_BLOCK = 16 << 20
"""Numbers that are converted at once."""


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

        kind = self._type(weights, tensor)
        for array in _arrays(weights, tensor):
            with numpy.errstate(over="ignore"):  # told below, with the tensor's name
                made = quantize(numpy.ascontiguousarray(array), GGMLQuantizationType[kind])
            if not numpy.isfinite(array).all() or not numpy.isfinite(_halves(made, kind)).all():
                raise WeightsError(
                    f"{tensor.source} holds a number that is none, or none of the type {kind}",
                    "look for NaN in the weights; type bf16 has room for numbers beyond 65,504",
                )
            yield made.tobytes()


def _halves(made: Any, kind: str) -> Any:
    """The float16 numbers of a quantised array: all, or the scales of blocks of 32."""
    import numpy

    if kind == "F16":
        return made
    if kind == "Q8_0":  # block_q8_0 of ggml: a scale, then 32 bytes
        return numpy.ascontiguousarray(made.reshape(-1, 34)[:, :2]).view("<f2")
    return numpy.zeros(0)


def _arrays(weights: Weights, tensor: Tensor) -> Iterator[Any]:
    info = weights[tensor.source]
    if tensor.arrange is not None or not info.shape:
        whole = _floats(weights.read(tensor.source), info.dtype).reshape(info.shape)
        yield tensor.arrange(whole) if tensor.arrange else whole
        return
    width = max(1, info.row_size)
    step = max(1, _BLOCK // width)
    for start in range(0, info.rows, step):
        end = min(start + step, info.rows)
        raw = weights.read(tensor.source, (start, end))
        yield _floats(raw, info.dtype).reshape((end - start, *info.shape[1:]))


def _floats(raw: bytes, dtype: str) -> Any:
    """float32 of bfloat16, float16 or float32."""
    import numpy

    if dtype == "BF16":
        return (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    if dtype not in ("F16", "F32"):
        raise WeightsError(
            f"weights of type {dtype} cannot be written as GGUF", "convert them to bfloat16 first"
        )
    return numpy.frombuffer(raw, "<f2" if dtype == "F16" else "<f4").astype("<f4")


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
