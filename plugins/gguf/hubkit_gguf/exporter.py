"""The exporter: what goes where is settled before a byte is written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
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
from hubkit.sdk.checkpoints import open_weights
from hubkit.sdk.codec import decode

from . import llm, qwen
from . import vision as intern
from .modelfile import modelfile
from .options import Options
from .quantizer import program, quantized
from .quantizer import version as quantizer_version
from .tokenizer import add_tokenizer, chat_template
from .writing import File, write_all

MODELFILE = "Modelfile"
_CARRIED = ("config.json", "preprocessor_config.json")
"""The official files by which hubkit knows what the model expects of pictures."""
_LLAMA_CPP = """```bash
llama-server -m {repository}/{model} --mmproj {repository}/{mmproj} --temp 0
```"""
_OLLAMA = """```bash
ollama create {lower} -f {repository}/Modelfile
ollama run {lower}
```"""


class GgufExporter:
    kind: ClassVar[str] = "exporter"
    name: ClassVar[str] = "gguf"
    sdk: ClassVar[str] = "1.5"
    requirements: ClassVar[Requirements] = Requirements(
        (("gguf", "0.18"), ("numpy", "1.26"), ("jinja2", "3.1")), "gguf", "locks"
    )
    Options: ClassVar[type] = Options

    def check(self, config: Mapping[str, Any], vision: Vision, options: Mapping[str, Any]) -> None:
        chosen = decode(Options, options, "options of exporter gguf")
        if chosen.quantizer:
            program(chosen.quantizer)
        _eyes(config).check(config, vision)
        llm.check(_text(config))

    def export(self, job: ExportInput, run: Run) -> ExportOutput:
        from importlib.metadata import version

        options = decode(Options, job.options, "options of exporter gguf")
        run.check_cancelled()
        versions = {"gguf": version("gguf")}
        files = _planned(job, options)
        if options.quantizer:
            versions["llama-quantize"] = _quantized(job, options, files, run)
            model = _named(job, options.type)
        else:
            write_all(files, open_weights(job.native), run)
            model = files[0].path.name
        mmproj = files[1].path.name
        settings = json_text.load(job.model / "tokenizer_config.json")
        bos = settings.get("bos_token") or ""
        bos = bos.get("content", "") if isinstance(bos, dict) else bos
        text = modelfile(model, mmproj, chat_template(job.model, settings), bos)
        (job.output / MODELFILE).write_text(text, "utf-8", newline="\n")
        carried = [name for name in _CARRIED if (job.model / name).is_file()]
        for name in carried:
            shutil.copyfile(job.model / name, job.output / name)
        names = {"lower": job.name.lower(), "model": model, "mmproj": mmproj}
        return ExportOutput(
            (model, mmproj, MODELFILE, *carried),
            versions,
            {"llama.cpp": _filled(_LLAMA_CPP, names), "Ollama": _filled(_OLLAMA, names)},
            "gguf",
        )


def _named(job: ExportInput, kind: str) -> str:
    return f"{job.name}-{kind.upper()}.gguf"


def _quantized(job: ExportInput, options: Options, files: tuple[File, File], run: Run) -> str:
    """Has the model's file written by the user's quantiser; the quantiser's version."""
    named = program(options.quantizer)
    told = quantizer_version(named)
    model, out = files[0], job.output / _named(job, options.type)
    write_all(files[out.is_file() :], open_weights(job.native), run)
    if not out.is_file():
        quantized(named, model.path, out, options.type, run)
    model.path.unlink(missing_ok=True)
    return told


def _filled(text: str, names: dict[str, str]) -> str:
    for key, value in names.items():
        text = text.replace(f"{{{key}}}", value)
    return text


_EYES = {"internvl": intern, qwen.MODEL_TYPE: qwen}


def _eyes(config: Mapping[str, Any]) -> Any:
    """The module for the vision tower. Raises RefusedError for one that there is none for."""
    kind = config.get("model_type")
    if kind not in _EYES:
        raise RefusedError(
            f"the model is of type {kind!r}; an mmproj is written for {' and '.join(_EYES)}",
            "leave the variant out of the release file",
        )
    return _EYES[kind]


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Qwen's published files have the language model's keys at the top."""
    found: Mapping[str, Any] = config.get("text_config") or config
    return found


def _planned(job: ExportInput, options: Options) -> tuple[File, File]:
    """Raises RefusedError for what GGUF has no place for, WeightsError for a tensor that nothing
    explains."""
    config = json_text.load(job.native / "config.json")
    eyes, text = _eyes(config), _text(config)
    eyes.check(config, job.vision)
    arch = llm.check(text)
    weights = open_weights(job.native)
    said, seen = llm.tensors(weights, text, arch), eyes.tensors(weights)
    if unknown := sorted(set(weights) - {one.source for one in (*said, *seen)}):
        raise WeightsError(
            f"GGUF has no place for {len(unknown)} tensors: {', '.join(unknown[:5])}",
            "leave the variant out of the release file",
        )
    rows = weights[f"{llm.PREFIX}embed_tokens.weight"].rows

    def model(writer: Any) -> None:
        writer.add_type("model")
        writer.add_name(job.name)
        llm.metadata(writer, text)
        add_tokenizer(writer, job.model, job.native, rows)

    def mmproj(writer: Any) -> None:
        writer.add_type("mmproj")
        writer.add_name(job.name)
        eyes.metadata(writer, config, job.vision)

    out: Path = job.output
    return (
        File(
            out / _named(job, options.written),
            arch,
            model,
            said,
            options.written,
        ),
        File(
            out / f"mmproj-{job.name}-{options.mmproj.upper()}.gguf",
            "clip",
            mmproj,
            seen,
            options.mmproj,
        ),
    )
