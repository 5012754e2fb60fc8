"""Writes docs/release-file.md, and the Chinese page from docs/release_file_zh.yaml, from the schema
of release.yaml; a test checks that they are up to date and that every key is translated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import hubkit

HERE = Path(__file__).parent
Schema = dict[str, Any]

HEADS = {
    "en": (
        "# release.yaml\n\nEvery key, from `hubkit schema`; written by `make docs`, do not edit. "
        "Paths are relative to the\nfile's own folder. `hubkit init` writes one from your base, "
        "data and adapter (`--template`: one with\ncomments), and all problems of a file are "
        "reported at once.\n",
        "| Key | Type | Default | |",
        "required",
        "Plugins have settings of their own under `options`: [their pages](bundled-plugins.md).",
    ),
    "zh": (
        "# release.yaml\n\n由 `hubkit schema` 得到的全部键；由 `make docs` 生成，请勿手工修改。"
        "路径都相对于该文件所在的文件夹。\n`hubkit init` 根据基座、数据和适配器写出该文件"
        "（`--template`：带注释的样例），"
        "文件中的所有问题会一次列出。\n",
        "| 键 | 类型 | 默认值 | |",
        "必填",
        "插件自己的设置写在 `options` 下，各插件的页面（英文）列出了它们。",
    ),
}


def pages() -> dict[Path, str]:
    """Both pages by their path."""
    chinese = yaml.safe_load((HERE / "release_file_zh.yaml").read_text("utf-8"))
    return {
        HERE / "release-file.md": _page("en", {}),
        HERE / "zh" / "release-file.md": _page("zh", chinese),
    }


def keys() -> dict[str, str]:
    """What there is to say, by place: `data` and `data.path`, `data.accept_terms` and below."""
    return {
        ".".join(filter(None, (at, name))): text
        for at, model in _models()
        for name, text in (
            ("", model.get("description", "")),
            *((key, field.get("description", "")) for key, field in model["properties"].items()),
        )
        if at or name
    }


def _page(language: str, translated: dict[str, str]) -> str:
    head, columns, required, foot = HEADS[language]
    lines = [head]
    for at, model in _models():
        say = translated or keys()
        lines += [f"## {at}\n", f"{_sentence(say[at], language)}\n"] if at else []
        lines += [columns, "|---|---|---|---|"]
        for key, field in model["properties"].items():
            place = f"{at}.{key}" if at else key
            default = (
                f"`{json.dumps(field['default'], ensure_ascii=False)}`"
                if "default" in field and not isinstance(field["default"], dict)
                else required
                if key in model.get("required", ())
                else ""
            )
            text = say[place].replace("\n", " ") or f"[{place}](#{place})"
            lines.append(f"| `{key}` | {_type(field)} | {default} | {text} |")
        lines.append("")
    return "\n".join([*lines, foot]) + "\n"


def _sentence(text: str, language: str) -> str:
    return text if language == "zh" else text.replace("\n", " ")


def _models() -> Iterator[tuple[str, Schema]]:
    """The tables of the page: the whole file, its sections, and the items of their lists."""
    schema = hubkit.json_schema()
    definitions = schema["$defs"]

    def below(at: str, model: Schema) -> Iterator[tuple[str, Schema]]:
        yield at, model
        for key, field in model["properties"].items():
            for name in _references(field):
                place = f"{at}.{key}" if at else key
                known = ("PythonEnvironment", "LockedEnvironment", *(["Where"] if at else []))
                if name not in known:  # a stage's `where` is the release's
                    yield from below(place, definitions[name])

    return below("", schema)


def _references(field: Schema) -> list[str]:
    parts = [field, field.get("items", {}), *field.get("anyOf", ()), *field.get("oneOf", ())]
    return [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]


def _type(field: Schema) -> str:
    known = {
        "PythonEnvironment": "`{python: PATH}`",
        "LockedEnvironment": "`{locked: VARIANT}`",
    }
    if "$ref" in field:
        return known.get(_references(field)[0], "mapping")
    if several := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(_type(one) for one in several if one.get("type") != "null")
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return {"object": "mapping", "string": "path" if "format" in field else "text"}.get(
        field["type"], field["type"]
    )


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
