"""What hubs ask of a model card's metadata: the rules by which Hugging Face refuses a commit, known
here without asking it (its `/api/validate-yaml`, and the answers people have reported)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

REPOSITORY = re.compile(
    r"(?!.*(?:--|\.\.))(?:[\w-][\w.-]*/)?[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?", re.ASCII
)
"""`organisation/name` or `name`."""
LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")
"""ISO 639-1, -2 or -3, in lower case."""
_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research
intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4
lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openrail openrail++ osl-3.0 other
pddl postgresql unknown unlicense wtfpl zlib
"""
LICENSES = frozenset(_LICENSES.split())
"""The ids that Hugging Face's answer lists (huggingface_hub#4218, May 2026); any other licence is
`other` with a name and a link."""
_TEXTS = (
    "pipeline_tag",
    "library_name",
    "license_name",
    "license_link",
    "thumbnail",
    "base_model_relation",
)
_LISTS = ("tags", "metrics")
_RELATIONS = ("finetune", "adapter", "merge", "quantized")


def problems(metadata: Mapping[Any, Any]) -> list[str]:
    """Each thing for which a hub would refuse the card, with its key; empty when there is none."""
    return [*_types(metadata), *_license(metadata), *_names(metadata), *_results(metadata)]


def _types(metadata: Mapping[Any, Any]) -> Iterator[str]:
    for key in metadata:
        if not isinstance(key, str):
            yield f"the key {key!r} is not text"
    for key in _TEXTS:
        if not isinstance(metadata.get(key) or "", str):
            yield f"{key} {_shown(metadata[key])} is not text"
    for key in ("tags", "model-index"):
        if not isinstance(metadata.get(key) or [], list):
            yield f"{key} {_shown(metadata[key])} is not a list"
    for key in _LISTS:
        for item in _items(metadata, key):
            if not isinstance(item, str):
                yield f"{key}: {_shown(item)} is not text; put it in quotes"
    relation = metadata.get("base_model_relation")
    if isinstance(relation, str) and relation not in _RELATIONS:
        yield f"base_model_relation {_shown(relation)} is none of {', '.join(_RELATIONS)}"


def _license(metadata: Mapping[str, Any]) -> Iterator[str]:
    for item in _items(metadata, "license"):
        if not isinstance(item, str) or item not in LICENSES:
            lower = str(item).lower()
            meant = (
                f"write {lower}"
                if lower in LICENSES
                else "write `other`, with license_name and license_link"
            )
            yield f"license {_shown(item)} is no licence id that hubs know: {meant}"


def _names(metadata: Mapping[str, Any]) -> Iterator[str]:
    for item in _items(metadata, "language"):
        if not isinstance(item, str) or not LANGUAGE.fullmatch(item):
            yield f"language {_shown(item)} is not an ISO 639 code in lower case, such as en or zh"
    for key in ("base_model", "datasets", "new_version"):
        for item in _items(metadata, key):
            if not isinstance(item, str) or not REPOSITORY.fullmatch(item):
                yield f"{key} {_shown(item)} is not a repository: write organisation/name"


def _results(metadata: Mapping[str, Any]) -> Iterator[str]:
    """`model-index`: a list of models with results, each with task, dataset and metrics."""
    for number, model in enumerate(_items(metadata, "model-index")):
        at = f"model-index[{number}]"
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            yield f"{at} has no name"
            continue
        results = model.get("results")
        if not isinstance(results, list):
            yield f"{at}.results is not a list"
            continue
        for place, result in enumerate(results):
            yield from _result(f"{at}.results[{place}]", result)


def _result(at: str, result: Any) -> Iterator[str]:
    if not isinstance(result, Mapping):
        yield f"{at} is not a mapping"
        return
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        inner = result.get(part)
        if not isinstance(inner, Mapping):
            yield f"{at}.{part} is missing"
            continue
        yield from (f"{at}.{part}.{k} is not text" for k in keys if not _is_text(inner.get(k)))
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f"{at}.metrics is not a list of metrics"
        return
    for place, metric in enumerate(metrics):
        if not isinstance(metric, Mapping) or not _is_text(metric.get("type")):
            yield f"{at}.metrics[{place}].type is not text"
        elif metric.get("value") is None:
            yield f"{at}.metrics[{place}].value is missing"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _items(metadata: Mapping[str, Any], key: str) -> list[Any]:
    value = metadata.get(key)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
