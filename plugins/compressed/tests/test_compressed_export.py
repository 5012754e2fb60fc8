"""What is taken from llm-compressor, and what is refused; llm-compressor itself works where it is
installed."""

from __future__ import annotations

import json

import pytest
from hubkit_compressed import CompressedExporter
from hubkit_compressed import making as making_module

import hubkit
from hubkit.sdk import RefusedError, SilentRun, UsageError, WeightsError
from hubkit.sdk.checkpoints import open_weights
from hubkit.sdk.testing import check_exporter
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

torch = pytest.importorskip("torch")
SETTINGS = {"quant_method": "compressed-tensors", "format": "float-quantized"}
DECODER = "model.language_model.layers."


@pytest.fixture
def state(native):
    """The model's tensors with the decoder's matrices in 8 bits, a scale for each row."""
    from safetensors.torch import load_file

    found = load_file(native / "model.safetensors")
    for name, tensor in list(found.items()):
        if name.startswith(DECODER) and tensor.ndim == 2:
            scale = tensor.float().abs().amax(1, keepdim=True) / 448
            found[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            found[f"{name}_scale"] = scale.to(torch.bfloat16)
    return found


@pytest.fixture
def quantiser(state, monkeypatch):
    """In llm-compressor's place: `change` what it gives."""

    def give(change=lambda found: None, **settings):
        change(state)
        made = (state, SETTINGS | settings)
        monkeypatch.setattr(making_module, "compressed", lambda native, options: made)

    return give


def export(job):
    return CompressedExporter().export(job, SilentRun())


@pytest.fixture(autouse=True)
def versions(monkeypatch):
    from hubkit_compressed import exporter

    monkeypatch.setattr(exporter, "version", lambda name: "0")


def test_the_decoder_alone_is_quantised_and_the_folder_is_sound(job, native, quantiser):
    quantiser()
    asked = job()
    output = export(asked)
    assert sorted(output.files) == sorted(path.name for path in asked.output.iterdir())
    assert {"tokenizer.json", "processor_config.json", "chat_template.jinja"} <= set(output.files)
    assert output.usage["vLLM"] == "```bash\nvllm serve {repository}\n```"
    before, after = open_weights(native), open_weights(asked.output)
    for name, info in before.items():
        eight = name.startswith(DECODER) and len(info.shape) == 2
        assert after[name].dtype == ("F8_E4M3" if eight else info.dtype)
        assert eight or after.read(name) == before.read(name)
    assert hubkit.check(asked.output) == ()
    model = open_model(asked.output)
    assert model.family.name == "internvl_hf"
    assert native_view(model, asked.output / "none", SilentRun()) == asked.output
    with pytest.raises(RefusedError, match="the model is quantised already"):
        CompressedExporter().check(model.config, asked.vision, {})


def spoiled(found):
    found[f"{DECODER}0.mlp.up_proj.weight_scale"][0] = float("nan")


def shortened(found):
    name = f"{DECODER}1.mlp.up_proj.weight"
    found[name] = found[name][:-1]


def forgotten(found):
    for name in [name for name in found if name.endswith("weight_scale")]:
        del found[name]


def added(found):
    found[f"{DECODER}0.mlp.up_proj.weight_zero_point"] = torch.zeros(1, dtype=torch.int8)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (spoiled, r"0\.mlp\.up_proj\.weight_scale holds a number that is none"),
        (shortened, r"wrote 1 tensors .*1\.mlp\.up_proj\.weight: is F8_E4M3 \[319, 128\]"),
        (forgotten, r"has no quantised layer"),
        (added, r"weight_zero_point: is explained by nothing"),
    ],
)
def test_what_is_not_the_model_is_removed(job, quantiser, change, told):
    quantiser(change)
    asked = job()
    with pytest.raises(WeightsError, match=told):
        export(asked)
    assert not (asked.output / "model.safetensors").exists()


def test_a_form_that_is_not_known(job, quantiser):
    quantiser(format="marlin-24")
    with pytest.raises(WeightsError, match="quantization_config: has the format 'marlin-24'"):
        export(job())


def test_what_hubkit_checks_of_such_a_folder(job, quantiser):
    quantiser()
    asked = job()
    export(asked)
    config = json.loads((asked.output / "config.json").read_text("utf-8"))
    config["quantization_config"]["format"] = "int-quantized"
    (asked.output / "config.json").write_text(json.dumps(config), "utf-8")
    found = hubkit.check(asked.output)
    assert any("is F8_E4M3 [" in one.message and "not I8 [" in one.message for one in found)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"scheme": "w4a16"}, RefusedError, "multiple of 128: intermediate_size is 320"),
        ({"threads": -1}, UsageError, "threads must be at least 0"),
        ({"group": 100}, UsageError, "group"),
    ],
)
def test_what_is_known_before_there_are_weights(native, vision, options, error, told):
    config = json.loads((native / "config.json").read_text("utf-8"))
    CompressedExporter().check(config, vision, {"scheme": "w4a16", "group": 64})
    with pytest.raises(error, match=told):
        CompressedExporter().check(config, vision, options)


@pytest.mark.parametrize("scheme", ["fp8", "w8a8", "w4a16"])
def test_llm_compressor_itself(job, scheme):
    pytest.importorskip("llmcompressor")
    output = check_exporter(CompressedExporter(), job(scheme=scheme, group=64))
    assert "config.json" in output.files
