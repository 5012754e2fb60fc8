"""Which class of transformers a folder's processor is, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import json_text
from .errors import EnvironmentFailure, UsageError
from .excerpt import shown

_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_NEWER = "install a newer transformers (`pip install -U transformers`) where this runs"


def load(native: Path) -> Any:
    """The processor without its part for videos, which needs torchvision and is never asked. Put
    together here since AutoProcessor (5.23) would choose a tokenizer by the model's type instead of
    reading tokenizer.json, and has no way to leave the videos out.

    Raises:
        UsageError: there is no processor, or one that has parts beside an image processor and a
            tokenizer.
        EnvironmentFailure: transformers lacks the class, or the class a package.
    """
    kind: Any = _kind(native)
    made: dict[str, Callable[[], Any]] = {
        "image_processor": lambda: _image_processor(native),
        "tokenizer": lambda: fast_tokenizer(native),
        "qformer_tokenizer": lambda: fast_tokenizer(native / "qformer_tokenizer"),
        "video_processor": lambda: None,
    }
    needed = kind.get_attributes()
    if unknown := sorted(set(needed) - set(made)):
        raise UsageError(
            f"{kind.__name__} needs {', '.join(unknown)}, which hubkit does not load",
            "train and serve this model elsewhere; hubkit merges, checks and publishes it",
        )
    settings, _ = kind.get_processor_dict(native)
    without_videos: Any = type(
        kind.__name__, (kind,), {"check_argument_for_proper_class": _unchecked}
    )
    try:
        return without_videos.from_args_and_dict([made[name]() for name in needed], settings)
    except ImportError as error:
        raise EnvironmentFailure(
            f"the processor {kind.__name__} needs a package ({str(error).strip()[:200]})",
            "install it where trainers and engines run",
        ) from None


def fast_tokenizer(native: Path) -> Any:
    """Named by its class: AutoTokenizer would choose one by the model's type, and ask for the
    folder's code."""
    from transformers import PreTrainedTokenizerFast

    if not (native / "tokenizer.json").is_file():
        raise UsageError(
            f"{native.name} has no tokenizer.json: without it its tokenizer is code, which is not "
            "run here",
            "add the tokenizer.json that transformers saves for this tokenizer (`save_pretrained` "
            "of the fast class)",
        )
    return PreTrainedTokenizerFast.from_pretrained(native)


def _unchecked(processor: Any, name: str, part: Any) -> None:
    """In place of a check that has no class to compare a missing video processor with."""


def _kind(native: Path) -> Any:
    import transformers
    from transformers import ProcessorMixin
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    place, name = _named(native)
    if not name:
        model = _read(native / "config.json").get("model_type")
        place, name = "config.json: model_type", PROCESSOR_MAPPING_NAMES.get(model) or ""
        if not name:
            raise UsageError(
                f"{native.name}: no file names a processor ({', '.join(_FILES)}), and transformers "
                f"{transformers.__version__} has none for model_type {shown(model)}",
                "copy the processor's files from the base model",
            )
    kind: Any = getattr(transformers, name, None) if name.isidentifier() else None
    if kind is not None and getattr(kind, "is_dummy", False):
        raise EnvironmentFailure(
            f"{place}: {name} needs {' and '.join(kind._backends)}, which is not installed here",
            "install it where trainers and engines run, in the version that fits torch",
        )
    if not isinstance(kind, type) or not issubclass(kind, ProcessorMixin):
        raise EnvironmentFailure(
            f"{place} is {shown(name)}, and transformers {transformers.__version__} has no such "
            "processor",
            f"{_NEWER}; or take the processor's files from the base model",
        )
    return kind


def _named(native: Path) -> tuple[str, str]:
    for file in _FILES:
        name = _read(native / file).get("processor_class")
        if isinstance(name, str):
            return f"{file}: processor_class", name
    return "", ""


def _read(path: Path) -> dict[str, Any]:
    """Raises UsageError for what is no JSON object; empty when there is no such file."""
    if not path.is_file():
        return {}
    try:
        data = json_text.load(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path.name} is not JSON ({str(error)[:200]})", "copy it from the base model"
        ) from None
    return data if isinstance(data, dict) else {}


def _image_processor(native: Path) -> Any:
    import transformers
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(native, backend="pil", trust_remote_code=False)
    except OSError as error:
        raise UsageError(
            f"{native.name} has no preprocessor_config.json that can be read",
            "copy the processor's files from the base model",
        ) from error
    except (ImportError, ValueError, AttributeError, TypeError) as error:
        reason = str(error).replace(str(native), native.name)
    name = shown(_read(native / "preprocessor_config.json").get("image_processor_type"))
    if "torchvision" in reason.lower():
        raise EnvironmentFailure(
            f"preprocessor_config.json: image_processor_type {name} works with torchvision alone, "
            "which is not installed here",
            "install the torchvision that fits torch where trainers and engines run",
        )
    raise EnvironmentFailure(
        f"preprocessor_config.json: transformers {transformers.__version__} cannot load the image "
        f"processor {name} ({reason[:200]})",
        f"{_NEWER}; or take the processor's files from the base model",
    )


def read_config(native: Path) -> Any:
    """None where it cannot be read: whoever loads the model tells it."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(native)
    except (OSError, ValueError, KeyError):
        return None
