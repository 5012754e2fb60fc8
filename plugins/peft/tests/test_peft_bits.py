"""QLoRA: the frozen language model in 4 or 8 bits. bitsandbytes computes on a CPU too."""

from __future__ import annotations

import json
import sys

import pytest
from hubkit_peft import PeftTrainer, adapter, loop, setup
from hubkit_peft.options import Options

from hubkit.sdk import EnvironmentFailure, Record, SilentRun, Turn
from hubkit.sdk.install import install

BITS = {"4bit": "Linear4bit", "8bit": "Linear8bitLt"}


@pytest.mark.parametrize("bits", BITS)
def test_it_learns_and_its_adapter_fits_the_whole_base(job, native, bits):
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    counted_on = [
        Record(f"d{d}", (f"{d}.png",), (Turn("<image>\nWhich digit follows?", str((d + 1) % 10)),))
        for d in range(10)
    ]
    made = job(counted_on, steps=30, batch_size=10, quantize=bits, learning_rate=5e-3)
    output = PeftTrainer().train(made, SilentRun())
    losses = [
        json.loads(line)["loss"]
        for line in (made.output / loop.METRICS).read_text("utf-8").splitlines()
    ]
    assert losses[-1] < 0.5 * losses[0]
    assert output.settings["quantize"] == bits
    model = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(native), made.output / adapter.FOLDER
    )
    assert any(
        parameter.abs().max() > 0
        for name, parameter in model.named_parameters()
        if "lora_B" in name
    )


@pytest.mark.parametrize(("bits", "kind"), BITS.items())
def test_only_the_language_model_is_in_few_bits(job, bits, kind):
    made = job(quantize=bits)
    model = setup.prepare(made, Options(**made.options), SilentRun())[0].model.get_base_model()
    few = {
        name.removesuffix(".base_layer")
        for name, module in model.named_modules()
        if type(module).__name__ == kind
    }
    layers = len(model.model.language_model.layers)
    assert len(few) == 7 * layers and all(
        name.startswith("model.language_model.layers.") for name in few
    )


def test_without_their_library_the_extra_is_named(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EnvironmentFailure, match="quantize: 4bit needs bitsandbytes") as refused:
        PeftTrainer().train(job(quantize="4bit"), SilentRun())
    assert install("qlora") in refused.value.remedy
