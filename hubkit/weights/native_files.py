"""The files beside the weights of a native folder: what transformers needs to load it without
remote code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import ModelFamily, NativeModel

from ..files.disk import write_json
from ..files.outside import inside, read_json, read_text
from ..hygiene.local_paths import without_local_paths
from . import bytelevel
from .companions import companion_names, copy, own_template, written
from .stream import WrittenFile
from .tokenizer import from_sentencepiece

TOKENIZER, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
_MEASURED = ("image_mean", "image_std")
"""What the base's own preprocessor_config.json says better than config.json does."""


def write_native_files(
    folder: Path, out: Path, native: NativeModel, family: ModelFamily, config: Mapping[str, Any]
) -> list[WrittenFile]:
    """config.json, the processor's files, tokenizer, chat template and what else `folder` has; no
    code, and no auto_map, which would ask for code. A folder with only a sentencepiece model, or
    only vocab.json and merges.txt, gets the tokenizer.json made from them.

    Raises:
        UsageError: a file is not JSON, or the tokenizer cannot be expressed as tokenizer.json.
    """
    made: dict[str, Mapping[str, Any]] = {"config.json": without_local_paths(dict(native.config))}
    for name, data in native.files.items():
        own = read_json(folder, name) if inside(folder, name).is_file() else {}
        made[name] = {**data, **{key: own[key] for key in _MEASURED if key in own and key in data}}
    if not inside(folder, TOKENIZER).is_file():
        if inside(folder, "tokenizer.model").is_file():
            made[TOKENIZER] = from_sentencepiece(folder)
        elif all(inside(folder, name).is_file() for name in bytelevel.FILES):
            made[TOKENIZER] = bytelevel.from_vocabulary(folder)
    for name, data in made.items():
        write_json(out / name, data)
    carried = [
        name
        for name in companion_names(folder, family, config)
        if name not in made and not name.endswith(".py")
    ]
    files = [
        copy(inside(folder, name), out, name)
        for name in carried
        if TOKENIZER not in made or name != "tokenizer.model"
    ]
    changed = _settings(out, native) | _without_code(out, {file.path for file in files})
    kept = [file for file in files if file.path not in changed]
    told = own_template(out, family, config)
    return [*kept, *told, *(written(out, name) for name in (*made, *sorted(changed)))]


def _settings(out: Path, native: NativeModel) -> set[str]:
    """The native keys in tokenizer_config.json, and the chat template in a file of its own, which
    processor and tokenizer share. With a tokenizer.json, transformers' plain class is named: others
    (5.23) build the tokenizer from their own rules."""
    if not (native.tokenizer or native.chat_prelude) or not (out / SETTINGS).is_file():
        return set()
    before = read_json(out, SETTINGS)
    after = {**before, **native.tokenizer}
    if (out / TOKENIZER).is_file():
        after["tokenizer_class"] = "PreTrainedTokenizerFast"
    template = _template(out, after)
    changed = {SETTINGS}
    if native.chat_prelude and template is not None:
        after.pop("chat_template", None)
        (out / TEMPLATE).write_text(native.chat_prelude + template, encoding="utf-8", newline="\n")
        changed.add(TEMPLATE)
    write_json(out / SETTINGS, after)
    return changed


def _template(out: Path, settings: Mapping[str, Any]) -> str | None:
    """The folder's chat template; the one named `default` where there are several."""
    if (out / TEMPLATE).is_file():
        return read_text(out, TEMPLATE)
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {
            entry.get("name"): entry.get("template")
            for entry in template
            if isinstance(entry, dict)
        }
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise UsageError(
            f"{SETTINGS}: chat_template is not a text", "take the file from the base again"
        )
    return template


def _without_code(out: Path, names: set[str]) -> set[str]:
    changed = set()
    for name in names:
        if not name.endswith(".json"):
            continue
        data = read_json(out, name)
        if data.pop("auto_map", None) is not None:
            write_json(out / name, data)
            changed.add(name)
    return changed
