"""The files beside the weights, carried from the base: code, tokenizer, configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.sdk import json_text
from hubkit.sdk.errors import WeightsError
from hubkit.sdk.families.soundness import TEMPLATE, templates
from hubkit.sdk.family import ModelFamily
from hubkit.sdk.files import read_bytes

from ..files.disk import write_json
from ..files.outside import inside
from ..files.pointers import refuse_pointers
from ..hygiene.local_paths import is_vocabulary, without_local_paths

if TYPE_CHECKING:
    from .stream import WrittenFile

INDEX = "model.safetensors.index.json"


def companion_names(folder: Path, family: ModelFamily, config: Mapping[str, Any]) -> list[str]:
    """The companion files that `folder` has, config.json among them.

    Raises:
        WeightsError: a required one is missing, or a name leads out of the folder.
    """
    wanted = family.companions(config)
    names, missing = ["config.json"], []
    for need in wanted.required:
        found = [name for name in need.split("|") if inside(folder, name).is_file()]
        names += found
        if not found:
            missing.append(need.replace("|", " or "))
    if missing:
        raise WeightsError(
            f"{folder}: companion files are missing: {', '.join(missing)}",
            "download the base again, with all its files",
        )
    names += [name for name in wanted.optional if inside(folder, name).is_file()]
    return sorted(set(names))


def companion_bytes(folder: Path, family: ModelFamily, config: Mapping[str, Any]) -> int:
    return sum((folder / name).stat().st_size for name in companion_names(folder, family, config))


def carry(
    source: Path, out: Path, family: ModelFamily, config: Mapping[str, Any]
) -> list[WrittenFile]:
    """Copies the companion files; JSON loses its local paths. A folder without a chat template gets
    the family's, where it has one: others shall prompt the model as hubkit does."""
    names = companion_names(source, family, config)
    files = [copy(inside(source, name), out, name) for name in names]
    return files + own_template(out, family, config)


def own_template(out: Path, family: ModelFamily, config: Mapping[str, Any]) -> list[WrittenFile]:
    """The family's chat template, written into a folder that has none."""
    known = getattr(family, "chat_template", None)
    if known is None or templates(out):
        return []
    (out / TEMPLATE).write_text(known(config), encoding="utf-8", newline="\n")
    return [written(out, TEMPLATE)]


def carry_index(source: Path, out: Path) -> list[WrittenFile]:
    """Copies the index of the weights, when there is one."""
    path = inside(source, INDEX)
    return [copy(path, out, INDEX)] if path.is_file() else []


def copy(path: Path, out: Path, name: str) -> WrittenFile:
    """A file's bytes under `name` in `out`; JSON that holds local paths is written anew without
    them."""
    refuse_pointers(path)
    try:
        content = read_bytes(path)
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}", "correct its permissions, or download the base again"
        ) from None
    target = out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".json") and not is_vocabulary(Path(name).name):
        try:
            data = json_text.parse(content.decode("utf-8"))
        except ValueError as error:
            raise WeightsError(f"{path}: not JSON ({error})", "download the base again") from None
        clean = without_local_paths(data)
        if clean != data:
            write_json(target, clean)
            return written(out, name)
    target.write_bytes(content)
    return _digested(name, content)


def written(out: Path, name: str) -> WrittenFile:
    """The digest of a small file that was just written."""
    return _digested(name, (out / name).read_bytes())


def _digested(name: str, content: bytes) -> WrittenFile:
    from hashlib import sha256

    from .stream import WrittenFile

    return WrittenFile(name, len(content), sha256(content).hexdigest())
