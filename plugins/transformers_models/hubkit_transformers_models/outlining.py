"""What transformers itself says of a model, from its class without weights (the meta device)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from hubkit.sdk import EnvironmentFailure, ModuleGroup, UsageError
from hubkit.sdk.excerpt import shown
from hubkit.sdk.outline import Outline, OutlinedTensor

from .experts import Pieces, left_out, matrices, parts_of, stacks

_PROJECTOR = re.compile(r".*(projector|projection|connector|aligner|merger)")
_ROUTERS = ("gate", "router")
_TIED = "tie_word_embeddings"


def outline(
    config: Mapping[str, Any],
    names: Iterable[str],
    known: Mapping[str, tuple[int, ...]] | None = None,
) -> Outline:
    """`names` are those of the weights, `known` their shapes."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    settings = _settings(config)
    model = _model(settings)
    if (own := type(model).__name__) not in (config.get("architectures") or ()):
        raise UsageError(
            f"config.json: architectures is {shown(config.get('architectures'))}, and "
            f"model_type {shown(config.get('model_type'))} is {own}",
            "take config.json from the model's own repository",
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    published, pieces = _published(model, shapes, names)
    for name in shapes:
        if name not in published and name not in pieces:
            saved = _saved(model, name)
            published |= {name: saved[0]} if len(saved) == 1 else {}
            pieces |= {} if len(saved) == 1 else _published(model, shapes, saved)[1]
    experts = tuple(stacks(model, published, pieces))
    tied = set(model.all_tied_weights_keys)
    apart = tied - set(_model(_untied(settings)).all_tied_weights_keys)
    tensors = [
        *(
            OutlinedTensor(name, published[name], shapes[name])
            for name in shapes
            if name not in pieces
        ),
        *matrices(experts),
        *left_out(model, known or {}, published.values()),
    ]
    heads = [tensor for tensor in tensors if tensor.held in apart]
    return Outline(
        architecture=own,
        tensors=tuple(one for one in tensors if one.held not in tied),
        groups=dict(_groups(model, [one.name for one in experts])),
        head=heads[0] if len(heads) == 1 else None,
        image_token_id=getattr(settings, "image_token_id", None),
        experts=experts,
    )


def _settings(config: Mapping[str, Any]) -> Any:
    import transformers
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    kind = config.get("model_type")
    if kind not in KNOWN:
        raise EnvironmentFailure(
            f"config.json: model_type is {shown(kind)}, and transformers "
            f"{transformers.__version__} has no model for pictures and text of that type",
            "install a newer transformers (`pip install -U transformers`) if it has one",
        )
    try:
        return CONFIG_MAPPING[kind].from_dict(deepcopy(dict(config)))
    except Exception as error:  # whatever a configuration class makes of a wrong value
        raise UsageError(
            f"config.json: transformers cannot read it ({type(error).__name__}: "
            f"{str(error)[:300]})",
            "take config.json from the model's own repository",
        ) from None


def _model(settings: Any) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    try:
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(settings)
    except ImportError as error:
        raise EnvironmentFailure(
            f"transformers cannot build the model ({str(error).strip()[:300]})",
            "install what it names where this runs",
        ) from None
    except Exception as error:  # whatever a model class makes of a wrong value
        raise UsageError(
            f"config.json: transformers builds no model of it ({type(error).__name__}: "
            f"{str(error)[:300]})",
            "take config.json from the model's own repository",
        ) from None


def _untied(settings: Any) -> Any:
    changed = deepcopy(settings)
    for section in (changed, *(getattr(changed, key) for key in changed.sub_configs)):
        if hasattr(section, _TIED):
            setattr(section, _TIED, False)
    return changed


def _published(
    model: Any, shapes: Mapping[str, tuple[int, ...]], names: Iterable[str]
) -> tuple[dict[str, str], dict[str, Pieces]]:
    """The names of the weights by those in memory, as loading gives them (transformers 5.23,
    convert_and_load_state_dict_in_model), and the pieces of those that are put together of each
    expert's. What has no place is left out.

    Raises:
        UsageError: loading would rearrange a tensor, or two have one place.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    changes = get_model_conversion_mapping(model)
    renamings = [one for one in changes if isinstance(one, WeightRenaming)]
    converters = [one for one in changes if isinstance(one, WeightConverter)]
    found: dict[str, str] = {}
    pieces: dict[str, Pieces] = {}
    prefix = model.base_model_prefix
    for name in sorted(names, key=dot_natural_key):
        held, converted = rename_source_key(name, renamings, converters, prefix, shapes)
        if held not in shapes and name in shapes:
            held, converted = rename_source_key(name, [], [], prefix, shapes)
        if held not in shapes:
            continue
        if converted is not None:
            parts = parts_of(converters, converted)
            if not parts:
                raise _rearranged(model, name)
            pieces.setdefault(held, {part: [] for part in parts})[converted].append(name)
            continue
        if held in found:
            raise UsageError(
                f"the weights have {found[held]!r} and {name!r}, which transformers loads into "
                f"one tensor, {held!r}",
                "take the weights from the model's own repository",
            )
        found[held] = name
    return found, pieces


def _saved(model: Any, name: str) -> list[str]:
    """The names that transformers saves a tensor under, of each expert's where it parts it."""
    from transformers.core_model_loading import revert_weight_conversion

    return list(map(str, revert_weight_conversion(model, {name: model.state_dict()[name]})))


def _rearranged(model: Any, name: str) -> UsageError:
    return UsageError(
        f"{name!r}: transformers rearranges this tensor of {type(model).__name__} while it loads "
        "(experts in one tensor, for example), and an adapter's change cannot be told apart in it",
        "merge it with peft itself, or install a plugin for this family",
    )


def _groups(model: Any, experts: Sequence[str]) -> Iterator[tuple[str, ModuleGroup]]:
    language = model.get_decoder()
    within = {name for name, module in model.named_modules() if module is language}
    names = [name for name, _ in model.named_modules() if name.count(".") <= 3]
    text = next(iter(within), "")
    vit = next((name for name in names if _sees(model, name, text)), "")
    projector = next((name for name in names if _projects(name, text, vit)), "")
    blocks = _blocks(model, vit) if projector.startswith(f"{vit}.") else vit
    for key, prefix in (("llm", text), ("vit", blocks), ("projector", projector)):
        if prefix:
            own = {".".join(one.split(".")[-2:]) for one in experts if one.startswith(prefix)}
            linears = _linears(model.get_submodule(prefix))
            yield key, ModuleGroup(prefix, linears, tuple(sorted(own)))


def _sees(model: Any, name: str, text: str) -> bool:
    """Whether the module is a model of its own that takes pictures."""
    from transformers import PreTrainedModel

    module = model.get_submodule(name)
    if not isinstance(module, PreTrainedModel) or _holds(name, text):
        return False
    own = getattr(model.config, "vision_config", None)
    kind = getattr(own, "model_type", None)
    return bool(module.main_input_name == "pixel_values" or module.config.model_type == kind)


def _projects(name: str, text: str, vit: str) -> bool:
    last = name.rpartition(".")[2]
    return bool(_PROJECTOR.fullmatch(last)) and not name.startswith(f"{text}.") and name != vit


def _holds(name: str, inner: str) -> bool:
    return not name or inner == name or inner.startswith(f"{name}.")


def _blocks(model: Any, vit: str) -> str:
    """The layers of a tower that has the projector in it."""
    from torch.nn import ModuleList

    lists = [
        name
        for name, module in model.get_submodule(vit).named_modules()
        if isinstance(module, ModuleList)
    ]
    return f"{vit}.{lists[0]}" if lists else vit


def _linears(module: Any) -> tuple[str, ...]:
    from torch.nn import Linear

    found = {
        name.rpartition(".")[2] for name, one in module.named_modules() if isinstance(one, Linear)
    }
    return tuple(sorted(found - {*_ROUTERS, ""}))
