"""What stands in the files, number by number, and what is refused before one is written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from hubkit_gguf import GgufExporter
from hubkit_gguf.writing import halves

from hubkit.sdk import ExportInput, RefusedError, SilentRun, UsageError, WeightsError
from hubkit.sdk.checkpoints import NewTensor, open_weights, write_safetensors
from hubkit.sdk.testing import check_exporter
from plugins.gguf.tests.conftest import edit

gguf = pytest.importorskip("gguf")


def export(job: ExportInput) -> dict[str, gguf.GGUFReader]:
    output = GgufExporter().export(job, SilentRun())
    return {name: gguf.GGUFReader(job.output / name) for name in output.files if "gguf" in name}


def numbers(file: gguf.GGUFReader, name: str) -> numpy.ndarray:
    tensor = next(one for one in file.tensors if one.name == name)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("f4")


def source(native: Path, name: str) -> numpy.ndarray:
    weights = open_weights(native)
    raw = numpy.frombuffer(weights.read(name), "<u2").astype("<u4") << 16
    return raw.view("<f4").reshape(weights[name].shape)


def value(file: gguf.GGUFReader, key: str):
    return file.fields[key].contents()


def test_conformance(job):
    output = check_exporter(GgufExporter(), job(type="q8_0"))
    assert output.files == ("Tiny-Q8_0.gguf", "mmproj-Tiny-F16.gguf", "Modelfile", "config.json")
    assert set(output.usage) == {"llama.cpp", "Ollama"} and "{repository}" in output.usage["Ollama"]


@pytest.mark.parametrize(("kind", "error"), [("f16", 1e-3), ("bf16", 0.0), ("q8_0", 1e-2)])
def test_every_number_of_the_model(job, native, kind, error):
    files = export(job(type=kind, mmproj=kind))
    model, mmproj = files[f"Tiny-{kind.upper()}.gguf"], files[f"mmproj-Tiny-{kind.upper()}.gguf"]
    prefix, query = "model.language_model.", "layers.1.self_attn.q_proj.weight"
    for name, native_name in (
        ("token_embd.weight", f"{prefix}embed_tokens.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.3.ffn_down.weight", f"{prefix}layers.3.mlp.down_proj.weight"),
    ):
        assert numpy.allclose(numbers(model, name), source(native, native_name), atol=error)
    turned = source(native, prefix + query).reshape(4, 2, 16, 128).swapaxes(1, 2).reshape(128, 128)
    assert numpy.allclose(numbers(model, "blk.1.attn_q.weight"), turned, atol=error)
    places = source(native, "model.vision_tower.embeddings.position_embeddings")[0]
    written = numbers(mmproj, "v.position_embd.weight")
    assert (written == numpy.concatenate([places[1:], places[:1]])).all()
    assert len(model.tensors) + len(mmproj.tensors) == len(open_weights(native))


def test_the_metadata(job):
    model, mmproj = export(job()).values()
    assert value(model, "general.architecture") == "llama"
    assert value(model, "llama.attention.head_count_kv") == 2
    assert value(model, "tokenizer.ggml.pre") == "smollm"
    assert value(model, "tokenizer.ggml.tokens")[:5] == [
        *("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
    ]
    assert value(model, "tokenizer.ggml.token_type")[3:15] == [3] * 11 + [1]
    stops = [value(model, f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot")]
    assert stops == [2, 4]
    assert "<|im_start|>" in value(model, "tokenizer.chat_template")
    assert value(mmproj, "clip.projector_type") == "internvl"
    tiles = [value(mmproj, f"clip.vision.preproc_{side}_tiles") for side in ("min", "max")]
    assert tiles == [1, 4] and value(mmproj, "clip.vision.projector.scale_factor") == 2


def test_the_modelfile(job):
    asked = job()
    export(asked)
    assert (asked.output / "Modelfile").read_text() == (
        "FROM ./Tiny-F16.gguf\nFROM ./mmproj-Tiny-F16.gguf\n"
        'TEMPLATE """<s>{{ range .Messages }}<|im_start|>{{ .Role }}\n'
        "{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
        '"""\nPARAMETER stop "<|im_end|>"\nPARAMETER temperature 0\n'
    )


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("config.json", {"text_config__model_type": "phi3"}, "of type 'phi3'"),
        ("config.json", {"text_config__rope_parameters__rope_type": "yarn"}, "of type 'yarn'"),
        ("config.json", {"model_type": "llava"}, "'llava'; an mmproj is written for internvl"),
        ("config.json", {"vision_config__norm_type": "rms_norm"}, "norm_type is 'rms_norm', not"),
        ("config.json", {"vision_feature_layer": -2}, "vision_feature_layer is -2, not -1"),
        ("tokenizer.json", {"pre_tokenizer__pretokenizers": [{"type": "Whitespace"}]}, "no rule"),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}, "normalizer Lowercase"),
    ],
)
def test_what_the_form_has_no_place_for(job, file, change, told):
    asked = job(change=edit(file, **change))
    with pytest.raises(RefusedError, match=told):
        export(asked)
    assert list(asked.output.glob("*.gguf")) == []


def test_what_has_no_place_is_known_before_there_are_weights(native, vision):
    config = json.loads((native / "config.json").read_text("utf-8"))
    GgufExporter().check(config, vision, {"type": "q8_0"})
    text = config["text_config"]
    for changed, told in (
        (config | {"model_type": "llava"}, "'llava'; an mmproj is written for internvl and"),
        (config | {"text_config": text | {"model_type": "phi3"}}, "of type 'phi3'"),
        (config | {"text_config": text | {"rope_parameters": {"rope_type": "yarn"}}}, "'yarn'"),
    ):
        with pytest.raises(RefusedError, match=told):
            GgufExporter().check(changed, vision, {})


QWEN = {
    "model_type": "qwen2_5_vl",
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vision_config": {"depth": 32, "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"window_size": 56}, "window_size is 56, not 112"),
        ({"fullatt_block_indexes": [7, 15, 23, 30]}, r"30\], not \[7, 15, 23, 31\]"),
        ({"temporal_patch_size": 1}, "temporal_patch_size is 1, not 2"),
    ],
)
def test_what_llama_cpp_has_as_constants_of_qwen(vision, change, told):
    GgufExporter().check(QWEN, vision, {})
    with pytest.raises(RefusedError, match=told):
        other = {**QWEN, "vision_config": QWEN["vision_config"] | change}
        GgufExporter().check(other, vision, {})
    with pytest.raises(RefusedError, match="of type 'yarn'; written are mrope"):
        GgufExporter().check({**QWEN, "rope_scaling": {"type": "yarn"}}, vision, {})


def test_every_bfloat16_becomes_the_float16_that_numpy_makes():
    bits = numpy.arange(1 << 16, dtype="<u2")
    values = (bits.astype("<u4") << 16).view("<f4")
    small = numpy.abs(values) < 65_536
    made = numpy.frombuffer(halves(bits[small]), "<f2")
    assert made.tobytes() == values[small].astype("<f2").tobytes()
    assert all(halves(bits[bits == one]) is None for one in (0x4780, 0x7F80, 0x7FC0, 0xFFC1))


def test_a_tensor_that_nothing_explains(job):
    def change(folder: Path) -> None:
        extra = NewTensor("model.extra", "BF16", (2,), iter([b"\0" * 4]))
        write_safetensors(folder / "model.safetensors", [extra], {})

    with pytest.raises(WeightsError, match=r"no place for 1 tensors: model\.extra"):
        export(job(change=change))


def test_a_number_beyond_float16(job):
    def change(folder: Path) -> None:
        name = "model.language_model.embed_tokens.weight"
        path = folder / "model.safetensors"
        data, start = bytearray(path.read_bytes()), open_weights(folder)[name].start
        data[start : start + 2] = b"\x80\x47"  # 65,536 in bfloat16
        path.write_bytes(data)

    asked = job(change=change)
    with pytest.raises(WeightsError, match=r"embed_tokens\.weight .* none of the type F16"):
        export(asked)
    assert [path.name for path in asked.output.glob("*.gguf")] == []
    asked = replace(asked, options={"type": "bf16"})
    assert export(asked)


def test_a_scale_beyond_float16(job):
    def change(folder: Path) -> None:
        path, name = folder / "model.safetensors", "model.language_model.embed_tokens.weight"
        data, start = bytearray(path.read_bytes()), open_weights(folder)[name].start
        data[start : start + 2] = b"\x6e\x4e"  # 1e9 in bfloat16
        path.write_bytes(data)

    with pytest.raises(WeightsError, match=r"embed_tokens\.weight .* none of the type Q8_0"):
        export(job(change=change, type="q8_0"))


def test_a_model_without_a_template(job, tmp_path):
    asked = job()
    model = shutil.copytree(asked.model, tmp_path / "model")
    edit("tokenizer_config.json", chat_template=None)(model)
    with pytest.raises(UsageError, match="has no chat template"):
        export(replace(asked, model=model))
