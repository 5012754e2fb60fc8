"""What readers of any model folder stumble over: settings that cannot be saved again, templates
that differ, classes and files that they do not find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import json_text
from ..family import Problem
from ..files import read_bytes
from .defaults import VISION
from .section import Section

_SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""Settings that take effect with do_sample alone, and their defaults (transformers 5.23,
GenerationConfig.validate)."""
_BEAMS = {
    "early_stopping": False,
    "length_penalty": 1.0,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
}
"""Those that take effect with several beams alone."""
_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")

_CLASSES = frozenset(
    {
        *("PreTrainedTokenizer", "LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"),
        *("Qwen2Tokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer", "BloomTokenizer", "T5Tokenizer"),
    }
)
"""Tokenizers of transformers 4 and 5 that language models are published with; each is there with
the ending `Fast` too."""
_REFUSES = "transformers would not save the model again"
TEMPLATE = "chat_template.jinja"


def folder_problems(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """All of them but those of the processor, which a family of its own code may do without."""
    yield from generation_problems(json_object(folder / "generation_config.json"))
    yield from template_problems(folder)
    yield from tokenizer_problems(folder, config)


def generation_problems(generation: Mapping[str, Any]) -> Iterator[Problem]:
    """Settings of generation_config.json that transformers reads with a warning and refuses to
    save."""
    beams = generation.get("num_beams") or 1
    if not generation.get("do_sample"):
        yield from _idle(generation, _SAMPLING, "do_sample", "set do_sample to true")
    if beams == 1:
        yield from _idle(generation, _BEAMS, "num_beams above 1", "set num_beams")
    if not generation.get("return_dict_in_generate"):
        flags = dict.fromkeys(_OUTPUTS, False)
        needed = "return_dict_in_generate"
        yield from _idle(generation, flags, needed, f"set {needed} to true")
    for key, least in (("pad_token_id", 0), ("max_new_tokens", 1)):
        value = generation.get(key)
        if isinstance(value, int) and value < least:
            yield _problem(key, f"is {value}, below {least}: {_REFUSES}", "correct or remove it")
    count = generation.get("num_return_sequences")
    sampled = generation.get("do_sample") and beams == 1
    if isinstance(count, int) and count > max(beams, 1) and not sampled:
        yield _problem(
            "num_return_sequences", f"is {count} with {beams} beam(s): {_REFUSES}", "remove it"
        )


def _idle(
    generation: Mapping[str, Any], usual: Mapping[str, Any], needed: str, otherwise: str
) -> Iterator[Problem]:
    for key, default in usual.items():
        value = generation.get(key)
        if value is not None and value != default:
            yield _problem(
                key, f"is {value!r} without {needed}: {_REFUSES}", f"remove it, or {otherwise}"
            )


def _problem(key: str, message: str, remedy: str) -> Problem:
    return Problem(f"generation_config.json: {key}", message, remedy)


def template_problems(folder: Path) -> Iterator[Problem]:
    """No chat template, or several that differ: which of them prompts depends on the reader."""
    try:
        found = templates(folder)
    except OSError as error:
        yield Problem(TEMPLATE, f"cannot be read ({error})", "copy it from the base model")
        return
    if not found:
        yield Problem(
            "chat_template",
            "is in no file: servers would fall back to another prompt",
            "copy the chat template from the base model",
        )
        return
    (first, text), *others = found.items()
    for name, other in others:
        if _one_line_less(other) == _one_line_less(text):
            continue
        if TEMPLATE not in (first, name) and ("image" in text) != ("image" in other):
            continue
        yield Problem(
            name,
            f"holds another chat template than {first}: readers would prompt differently",
            f"keep the model's own and write it into {first} and {name}, or remove the other",
        )


def templates(folder: Path) -> dict[str, str]:
    """The chat template in each file that has one, as transformers 5 looks for them. The default
    one counts where there are several.

    Raises:
        OSError: chat_template.jinja is no regular file of at most 64 MiB.
    """
    found = {}
    if (folder / TEMPLATE).is_file():
        found[TEMPLATE] = read_bytes(folder / TEMPLATE).decode("utf-8", "replace")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        template = json_object(folder / name).get("chat_template")
        if isinstance(template, list):
            entries = (one for one in template if isinstance(one, dict))
            template = {one.get("name"): one.get("template") for one in entries}.get("default")
        if isinstance(template, str) and template:
            found[name] = template
    return found


def _one_line_less(text: str) -> str:
    """Jinja drops one newline at the end."""
    return text.removesuffix("\n")


def tokenizer_problems(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """A tokenizer.json without its model, half a byte-level BPE; a tokenizer class that is neither
    transformers' nor in the folder."""
    if (folder / "tokenizer.json").is_file() and "model" not in json_object(
        folder / "tokenizer.json"
    ):
        yield Problem("tokenizer.json", "holds no model", "copy it from the base model")
    alone = not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))
    if alone and (folder / "vocab.json").is_file() and not (folder / "merges.txt").is_file():
        yield Problem("merges.txt", "is missing beside vocab.json", "copy both from the base model")
    settings = json_object(folder / "tokenizer_config.json")
    name = settings.get("tokenizer_class")
    own = any("AutoTokenizer" in (data.get("auto_map") or ()) for data in (settings, config))
    if not isinstance(name, str) or own or name.removesuffix("Fast") in _CLASSES:
        return
    newer = name.endswith("Backend")
    yield Problem(
        "tokenizer_config.json: tokenizer_class",
        f"is {name!r}, which {'only transformers 5 knows' if newer else 'no reader knows'}",
        "set it to the base's own class, or to PreTrainedTokenizerFast where there is a "
        "tokenizer.json",
    )


def processor_problems(folder: Path) -> Iterator[Problem]:
    """AutoProcessor needs the image processor's settings; transformers 5 writes them into
    processor_config.json. (A folder with neither file lacks a companion.)"""
    nested = json_object(folder / "processor_config.json").get("image_processor")
    own = (folder / "preprocessor_config.json").is_file()
    if (folder / "processor_config.json").is_file() and not own and not isinstance(nested, dict):
        yield Problem(
            "preprocessor_config.json",
            "is missing, and processor_config.json has no image_processor",
            "copy it from the base model",
        )


def llava_processor_problems(folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
    """LLaVA's processors count a picture's positions by these (transformers from 4.47 on)."""
    settings = json_object(folder / "processor_config.json")
    wanted = {
        "patch_size": Section(config, "vision_config", VISION["clip_vision_model"]).size(
            "patch_size"
        ),
        "vision_feature_select_strategy": config.get("vision_feature_select_strategy", "default"),
    }
    for key, value in wanted.items():
        if settings.get(key) != value:
            yield Problem(
                f"processor_config.json: {key}",
                f"is {settings.get(key)!r}, config.json says {value!r}: the processor could not "
                "count a picture's tokens",
                f"set {key} to {json.dumps(value)} there",
            )


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is none, which other checks tell."""
    try:
        data = json_text.load(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
