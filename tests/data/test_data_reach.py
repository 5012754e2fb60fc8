"""Every problem that data can have, and every repair, is reached: a table of codes, and no line is
left over that raises or repairs."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from testing import foodie

import hubkit.sdk.rows
from hubkit.data.findings import TITLES
from hubkit.data.scan import rows
from hubkit.errors import DataError
from hubkit.registry.plugins import plugins
from hubkit.sdk import Row
from hubkit.sdk.rows import records_of

MODULES = [
    import_module(name)
    for name in (
        "hubkit.sdk.rows",
        "hubkit_llava_json.record",
        "hubkit_llava_json.fix",
        "hubkit_sharegpt.record",
        "hubkit_hf_datasets.columns",
        "hubkit_foodieqa.record",
    )
]
ELSEWHERE = {"image", "tokens"}
"""Codes of what `hubkit.data.validate` finds."""
IMG = "<image>\nHi"


def llava(*said: Any, **more: Any) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[n % 2], "value": one} for n, one in enumerate(said)]
    return {"id": "1", "conversations": turns, **more}


def chat(*said: Any, **more: Any) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[n % 2], "content": one} for n, one in enumerate(said)]
    return {"id": "1", "messages": turns, **more}


def table(**more: Any) -> dict[str, Any]:
    return {"id": "1", "question": "Which?", "answer": "tofu", **more}


PROBLEMS: list[tuple[str, str, Any]] = [
    ("llava_json", "schema", 7),
    ("llava_json", "schema", {"id": "1"}),
    ("llava_json", "schema", llava("Hi", 3)),
    ("llava_json", "keys", {"conversation": []}),
    ("llava_json", "roles", {"conversations": [{"from": "gpt", "value": "x"}]}),
    ("llava_json", "empty", llava("Hi", " ")),
    ("llava_json", "unanswered", llava("Hi")),
    ("llava_json", "encoding", llava("Hi", "\ud83c")),
    ("llava_json", "marks", llava("Hi", "x", image="a.png")),
    ("llava_json", "marks", llava("<image><image>", "x", image="a.png")),
    ("llava_json", "marks", llava(IMG, "<image>", image="a.png")),
    ("llava_json", "marks", llava("<video>", "x")),
    ("llava_json", "fields", llava("Hi", "x", video="a.mp4")),
    ("llava_json", "fields", llava("Hi", "x", image_path="a.png")),
    ("llava_json", "fields", llava("Hi", "x", source="a.mp4")),
    ("llava_json", "fields", {"conversations": [{**llava("Hi")["conversations"][0], "loss": 1}]}),
    ("llava_json", "path", llava(IMG, "x", image={})),
    ("llava_json", "path", llava(IMG, "x", image=[3])),
    ("llava_json", "path", llava(IMG, "x", image="http://a/b.png")),
    ("llava_json", "path", llava(IMG, "x", image="/a.png")),
    ("llava_json", "path", llava(IMG, "x", image="../a.png")),
    ("llava_json", "path", llava(IMG, "x", image="img\\a.png")),
    ("llava_json", "id", {**llava("Hi", "x"), "id": True}),
    ("sharegpt", "schema", "text"),
    ("sharegpt", "schema", {"messages": "x"}),
    ("sharegpt", "schema", {"messages": ["x"]}),
    ("sharegpt", "schema", chat("Hi", 3)),
    ("sharegpt", "schema", chat([{"type": "video"}], "x")),
    ("sharegpt", "keys", {"id": "1"}),
    ("sharegpt", "roles", {"messages": [{"role": "tool", "content": "x"}]}),
    ("sharegpt", "roles", chat("Hi", "x", system="Be brief.")),
    ("sharegpt", "roles", {"messages": [{"role": "assistant", "content": "x"}]}),
    ("sharegpt", "empty", chat("Hi", " ")),
    ("sharegpt", "unanswered", chat("Hi")),
    ("sharegpt", "path", chat(IMG, "x", images=7)),
    ("hf_datasets", "schema", 7),
    ("hf_datasets", "schema", table(answer={})),
    ("hf_datasets", "empty", table(answer=" ")),
    ("foodieqa", "schema", 7),
    ("foodieqa", "schema", foodie.single(1, question="")),
    ("foodieqa", "schema", {**foodie.single(1), "images": ["a.png", "b.png"]}),
    ("foodieqa", "marks", foodie.single(1, question="<image>")),
    ("foodieqa", "choices", foodie.single(1, choices=["a"])),
    ("foodieqa", "choices", foodie.single(1, answer="9")),
]
"""(adapter, code, an item after a sound one)."""
SOUND = {
    "llava_json": llava("Hi", "x"),
    "sharegpt": chat("Hi", "x"),
    "hf_datasets": table(),
    "foodieqa": foodie.single(9),
}
ALONE: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("hf_datasets", "keys", [{"question": "Which?"}], {}),
    ("hf_datasets", "keys", [table()], {"answer": "other"}),
    ("hf_datasets", "schema", [{"messages": 3}], {}),
    ("hf_datasets", "roles", [{"messages": [3]}], {}),
    ("hf_datasets", "unanswered", [chat("Hi")], {}),
    ("hf_datasets", "fields", [{"instruction": "Do", "input": "x", "output": "y"}], {}),
    ("foodieqa", "schema", [foodie.multi(1, images=["a.png"])], {}),
    (
        "foodieqa",
        "schema",
        [{**foodie.single(1), "food_name": "", "food_meta": {"food_file": "a.png"}}],
        {"form": "tutorial"},
    ),
    ("llava_json", "json", None, {}),
    ("llava_json", "encoding", b'[\n{"id": "\xff"}]', {}),
]
"""(adapter, code, items or bytes, options): nothing sound before."""
FIXES: list[tuple[str, str, Any]] = [
    ("llava_json", "renamed `conversation` to `conversations`", {"conversation": llava("Hi", "x")["conversations"]}),  # noqa: E501
    ("llava_json", "removed an empty `image`", llava("Hi", "x", image="")),
    ("llava_json", "wrote the image's path with `/`", llava(IMG, "x", image="img\\1\\a.png")),
    ("llava_json", "wrote the image's path with `/`", llava(IMG, "x", image="img/1\\a.png")),
    ("llava_json", "wrote the images' paths with `/`", llava(IMG, "x", image=["img\\a.png"])),
    ("llava_json", "renamed `role` and `content` to `from` and `value`", {"conversations": chat("Hi", "x")["messages"]}),  # noqa: E501
    ("llava_json", "renamed the role 'user' to 'human'", {"conversations": chat("Hi", "x")["messages"]}),  # noqa: E501
    ("llava_json", "removed the last human turn, which has no answer", llava("Hi", "x", "y")),
    ("llava_json", "removed 1 turns with an empty answer", llava("Hi", "x", "y", "")),
    ("llava_json", "added <image> to the first prompt", llava("Hi", "x", image="a.png")),
    ("llava_json", "moved <image> to the first prompt", llava("Hi", "x", IMG, "y", image="a.png")),
    ("sharegpt", "removed the last user message, which has no answer", chat("Hi", "x", "y")),
    ("sharegpt", "added <image> to the first prompt", chat("Hi", "x", images=["a.png"])),
]  # fmt: skip


def scan(adapter: str, folder: Path, items: Any, fix: bool = False, **options: Any) -> list[Row]:
    source = folder / "data.json"
    source.write_bytes(
        items if isinstance(items, bytes) else json.dumps(items).encode() if items else b"[{,"
    )
    return list(rows(adapter, source, options, fix=fix))


def labelled(folder: Path, **columns: Any) -> Path:
    """A parquet file whose `label` has two classes."""
    import pyarrow
    import pyarrow.parquet

    features = {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}
    noted = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    made = pyarrow.Table.from_pylist([columns]).replace_schema_metadata(noted)
    pyarrow.parquet.write_table(made, folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize(("adapter", "code", "item"), PROBLEMS)
def test_each_problem(adapter: str, code: str, item: Any, tmp_path: Path) -> None:
    sound, row = scan(adapter, tmp_path, [SOUND[adapter], item])
    assert sound.record is not None and row.problem is not None
    assert row.problem.code == code and code in TITLES and row.problem.remedy


@pytest.mark.parametrize(("adapter", "code", "items", "options"), ALONE)
def test_each_problem_of_a_file(
    adapter: str, code: str, items: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    try:
        found = [row.problem for row in scan(adapter, tmp_path, items, **options)]
    except DataError as problem:
        found = [problem]
    assert found[0] is not None and found[0].code == code and code in TITLES


@pytest.mark.parametrize(("adapter", "fix", "item"), FIXES)
def test_each_repair_fires_and_mends(adapter: str, fix: str, item: Any, tmp_path: Path) -> None:
    (broken,) = scan(adapter, tmp_path, [item])
    assert broken.problem is not None
    (row,) = scan(adapter, tmp_path, [item], fix=True)
    assert row.record is not None and fix in row.fixes
    assert not any("\\" in name for name in row.record.images)


def test_each_code_has_a_title_and_a_case() -> None:
    met = {code for _, code, _ in PROBLEMS} | {code for _, code, _, _ in ALONE}
    assert met | ELSEWHERE == set(TITLES)
    documented = set((hubkit.sdk.rows.__doc__ or "").split("`")[1::2])
    assert documented == met


def test_no_message_and_no_repair_is_out_of_reach(tmp_path: Path) -> None:
    """By the lines that run: what raises, returns an error, or yields a repair."""
    files = {str(module.__file__): set(_due(Path(str(module.__file__)))) for module in MODULES}
    met: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        met.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for adapter, _, item in PROBLEMS:
            scan(adapter, tmp_path, [SOUND[adapter], item])
        for adapter, _, items, options in ALONE:
            with suppress(DataError):
                scan(adapter, tmp_path, items, **options)
        for adapter, _, item in FIXES:
            scan(adapter, tmp_path, [item], fix=True)
        for columns in ({"label": 7}, {"answer": "x", "map": {"bytes": b"\x89PNG"}}):
            list(rows("hf_datasets", labelled(tmp_path, **columns), {}))
        with pytest.raises(DataError, match="no record"):
            list(records_of([Row(0, None, None)], tmp_path))
        for items in ([llava("Hi", "x")] * 2, []):
            source = tmp_path / "data.json"
            source.write_text(json.dumps(items))
            with pytest.raises(DataError):
                list(plugins().get("dataset", "llava_json").records(source, {}))
    finally:
        sys.settrace(before)
    left = {
        f"{Path(file).name}:{line}"
        for file, lines in files.items()
        for line in lines
        if (file, line) not in met
    }
    assert left == set()


def _due(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        text = ast.unparse(node) if isinstance(node, (ast.Return, ast.Expr)) else ""
        if (
            isinstance(node, ast.Raise)
            or "place.error(" in text
            or (isinstance(node, ast.Expr) and text.startswith(("yield", "(yield", "fixes.append")))
        ):
            yield node.lineno
