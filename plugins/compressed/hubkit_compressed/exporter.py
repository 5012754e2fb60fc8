"""The exporter: llm-compressor quantises, and what it gives is held to the model before it is
written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    ExportInput,
    ExportOutput,
    RefusedError,
    Requirements,
    Run,
    Vision,
    WeightsError,
    json_text,
)
from hubkit.sdk.checkpoints import NewTensor, Weights, open_weights, write_safetensors
from hubkit.sdk.checkpoints.compressed import problems
from hubkit.sdk.codec import decode
from hubkit.sdk.families import server

from .options import Options

WEIGHTS = "model.safetensors"
DECODER = "model.language_model.layers."
"""Before the names of all decoder layers in transformers' own layout."""
_WEIGHTS = (".safetensors", ".bin", ".index.json", ".py")
_TRANSFORMERS = """`pip install compressed-tensors`, then:

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained("{repository}")
model = AutoModelForImageTextToText.from_pretrained("{repository}", dtype="auto")
```"""


class CompressedExporter:
    kind: ClassVar[str] = "exporter"
    name: ClassVar[str] = "compressed"
    sdk: ClassVar[str] = "1.5"
    requirements: ClassVar[Requirements] = Requirements(
        (
            ("torch", "2.10"),
            ("transformers", "5.15"),
            ("llmcompressor", "0.14"),
            ("compressed_tensors", "0.19"),
        ),
        "",
        "locks",
    )
    Options: ClassVar[type] = Options

    def check(self, config: Mapping[str, Any], vision: Vision, options: Mapping[str, Any]) -> None:
        chosen = decode(Options, options, "options of exporter compressed")
        text = config.get("text_config") or config
        heads = text.get("num_attention_heads") or 1
        size = text.get("head_dim") or (text.get("hidden_size") or 0) // heads
        widths = {
            "hidden_size": text.get("hidden_size"),
            "intermediate_size": text.get("intermediate_size"),
            "num_attention_heads x head_dim": heads * size,
        }
        if config.get("quantization_config"):
            raise RefusedError(
                "the model is quantised already", "leave the variant out of the release file"
            )
        odd = [f"{key} is {n}" for key, n in widths.items() if not n or n % chosen.group]
        if chosen.scheme == "w4a16" and odd:
            raise RefusedError(
                f"w4a16 has no place for rows that are no multiple of {chosen.group}: "
                f"{', '.join(odd)}",
                "choose a smaller `group`, or another scheme",
            )

    def export(self, job: ExportInput, run: Run) -> ExportOutput:
        from .making import compressed

        options = decode(Options, job.options, "options of exporter compressed")
        config = json_text.load(job.native / "config.json")
        self.check(config, job.vision, job.options)
        run.check_cancelled()
        run.progress(0, 2, "steps")
        before = open_weights(job.native)
        if not (job.output / WEIGHTS).is_file():
            state, settings = compressed(job.native, options)
            run.check_cancelled()
            run.progress(1, 2, "steps")
            config["quantization_config"] = settings
            text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
            (job.output / "config.json").write_text(text, "utf-8", newline="\n")
            write_safetensors(job.output / WEIGHTS, _tensors(before, state), {"format": "pt"})
        _read_back(json_text.load(job.output / "config.json"), before, job.output)
        run.progress(2, 2, "steps")
        return ExportOutput(
            ("config.json", WEIGHTS, *_carried(job)),
            {name: version(name) for name in ("llmcompressor", "compressed-tensors")},
            {"vLLM": server("vLLM"), "Transformers": _TRANSFORMERS},
            "transformers",
        )


def _carried(job: ExportInput) -> Iterator[str]:
    """Tokenizer, processor and the rest of what lies beside the weights."""
    for path in sorted(job.native.iterdir()):
        if path.is_file() and path.name != "config.json" and not path.name.endswith(_WEIGHTS):
            shutil.copyfile(path, job.output / path.name)
            yield path.name


def _tensors(before: Weights, state: Mapping[str, Any]) -> Iterator[NewTensor]:
    """What was not quantised is the model's own bytes."""
    quantised = {name.rpartition(".")[0] for name in state if name.endswith(".weight_scale")}
    for name, info in before.items():
        module = name.rpartition(".")[0]
        if module not in quantised or not name.endswith(".weight"):
            yield NewTensor(name, info.dtype, info.shape, before.blocks(name))
            continue
        for part in sorted(one for one in state if one.startswith(f"{module}.weight")):
            yield _new(part, state[part])


_DTYPES = {
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.bfloat16": "BF16",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.int8": "I8",
    "torch.int32": "I32",
    "torch.int64": "I64",
}


def _new(name: str, tensor: Any) -> NewTensor:
    """Raises WeightsError for a number that is none."""
    import torch

    kept = tensor.detach().cpu().contiguous()
    if kept.is_floating_point() and not kept.float().isfinite().all():
        raise WeightsError(
            f"{name} holds a number that is none", "look for NaN in the weights; leave it out"
        )
    raw = kept.reshape(-1).view(torch.uint8).numpy().tobytes()
    return NewTensor(name, _DTYPES[str(kept.dtype)], tuple(kept.shape), [raw])


def _read_back(config: Mapping[str, Any], before: Weights, output: Path) -> None:
    """Raises WeightsError for a file that is not the model; it is removed."""
    after = open_weights(output)
    layout = {name: info.shape for name, info in before.items()}
    found = list(problems(config, layout, after))
    if not any(name.startswith(DECODER) and name.endswith("weight_scale") for name in after):
        found.append((DECODER, "has no quantised layer"))
    if found:
        (output / WEIGHTS).unlink()
        name, why = found[0]
        raise WeightsError(
            f"llm-compressor wrote {len(found)} tensors that are not the model's, such as {name}: "
            f"{why}",
            "report the model's architecture; leave the variant out",
        )
