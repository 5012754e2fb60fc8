"""What is expected of the user's llama-quantize, and of the file that it writes."""

from __future__ import annotations

import os

import numpy
import pytest
from hubkit_gguf import GgufExporter

from hubkit.sdk import EnvironmentFailure, SilentRun, UsageError, WeightsError
from hubkit.sdk.testing import check_exporter

gguf = pytest.importorskip("gguf")
LLAMA_QUANTIZE = "HUBKIT_TEST_LLAMA_QUANTIZE"

PROGRAM = """#!/bin/sh
echo "version: 0.5.0 (build 77, commit 0ad4a86)"
[ -e "$1" ] || exit 1
{last}
"""


@pytest.fixture
def quantizer(job, tmp_path):
    """A program that writes the model in Q8_0, as llama.cpp does where rows are too short for K
    types; `change` changes a tensor's numbers, or leaves it out."""

    def build(change=None, kind="Q6_K", last="") -> str:
        asked = job("before", type="bf16")
        export(asked)
        made, path = tmp_path / "made.gguf", tmp_path / "llama-quantize"
        write(asked.output / "Tiny-BF16.gguf", made, change, kind)
        last = last or f"echo '[   1/   1] all'; cp {made} $2"
        path.write_text(PROGRAM.format(last=last), "utf-8")
        path.chmod(0o755)
        return str(path)

    return build


def write(source, out, change, kind):
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    for tensor in gguf.GGUFReader(source).tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("f4")
        matrix = data.ndim > 1
        if matrix:
            data = gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0)
        data = change(tensor.name, data) if change else data
        if data is not None:
            raw = gguf.GGMLQuantizationType.Q8_0 if matrix else None
            writer.add_tensor(tensor.name, data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def export(job):
    return GgufExporter().export(job, SilentRun())


def test_what_is_written_is_read_back_and_the_program_named(job, quantizer):
    asked = job(type="q6_k", quantizer=quantizer())
    output = export(asked)
    assert output.versions["llama-quantize"] == "build 77, commit 0ad4a86"
    assert output.files[:2] == ("Tiny-Q6_K.gguf", "mmproj-Tiny-F16.gguf")
    assert sorted(path.name for path in asked.output.iterdir()) == sorted(output.files)
    assert "Tiny-Q6_K.gguf" in output.usage["llama.cpp"]
    written = (asked.output / "Tiny-Q6_K.gguf").stat()
    assert export(asked) == output  # nothing is made again
    assert (asked.output / "Tiny-Q6_K.gguf").stat().st_mtime_ns == written.st_mtime_ns


def without_head(name, data):
    return None if name == "output.weight" else data


def shorter(name, data):
    return data[:-1] if name == "token_embd.weight" else data


def not_a_number(name, data):
    data[:1] = numpy.nan if data.ndim == 1 else data[:1]
    return data


def scale_of_no_number(name, data):
    if data.ndim > 1:
        data[3, :2] = 255
    return data


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "Q4_0"}, r"says it is of type 2, not 18 \(q6_k\)"),
        ({"change": without_head}, r"1 tensors are not .* output\.weight: absent, not \[128, "),
        ({"change": shorter}, r"tensors are not .* token_embd\.weight: \[128, \d+\], not"),
        ({"change": not_a_number}, "holds a number that is none"),
        ({"change": scale_of_no_number}, "holds a number that is none"),
        ({"last": "printf GGUF > $2"}, "wrote is no GGUF file"),
    ],
)
def test_a_file_that_is_not_the_model(job, quantizer, given, told):
    asked = job(type="q6_k", quantizer=quantizer(**given))
    with pytest.raises(WeightsError, match=f"llama-quantize: .*{told}"):
        export(asked)
    assert not (asked.output / "Tiny-Q6_K.gguf").exists()


def test_a_program_that_fails(job, quantizer):
    failing = quantizer(last="echo no room left; exit 9")
    with pytest.raises(EnvironmentFailure, match=r"(?s)ended with code 9:\n.*no room left"):
        export(job(type="q4_k_m", quantizer=failing))


def test_a_program_that_is_none_or_another(job, vision, native, tmp_path):
    with pytest.raises(UsageError, match="'/absent/llama-quantize' is no program"):
        GgufExporter().check({}, vision, {"type": "q6_k", "quantizer": "/absent/llama-quantize"})
    with pytest.raises(EnvironmentFailure, match=r"true does not say which build of llama.cpp"):
        export(job(type="q6_k", quantizer="true"))
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentFailure, match="broken does not say which build"):
        export(job("again", type="q6_k", quantizer=str(broken)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"type": "q6_k"}, "type q6_k needs quantizer"),
        ({"quantizer": "llama-quantize"}, "quantizer is for types q6_k and q4_k_m, not f16"),
    ],
)
def test_a_type_and_its_quantizer_belong_together(job, options, told):
    with pytest.raises(UsageError, match=told):
        export(job(**options))


@pytest.mark.skipif(LLAMA_QUANTIZE not in os.environ, reason=f"{LLAMA_QUANTIZE} names no program")
@pytest.mark.parametrize("kind", ["q6_k", "q4_k_m"])
def test_the_true_one(job, kind):
    """Rows of 128 are too short for K types: llama.cpp falls back to others, as it says."""
    output = check_exporter(GgufExporter(), job(type=kind, quantizer=os.environ[LLAMA_QUANTIZE]))
    assert output.versions["llama-quantize"].startswith("build ")
