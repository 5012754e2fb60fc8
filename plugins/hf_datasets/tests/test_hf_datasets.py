"""Folders as the `datasets` library and the hub have them, with real parquet files and pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hubkit_hf_datasets import HFDatasets

from hubkit.sdk import DataError, Terms, Turn
from hubkit.sdk.testing import check_dataset

pyarrow = pytest.importorskip("pyarrow")
PLUGIN = HFDatasets()


def png(colour: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (20, 20), (colour, 0, 0)).save(out, "PNG")
    return out.getvalue()


def parquet(path: Path, rows: list[dict[str, Any]], features: dict[str, Any] | None = None) -> None:
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    pyarrow.parquet.write_table(table, path)


def test_parquet_with_pictures_and_questions(tmp_path: Path) -> None:
    for part in range(2):
        rows = [
            {
                "image": {"bytes": png(10 * part + n), "path": f"{n}.png"},
                "question": f"Which {n}?",
                "answer": f"{part}{n}",
            }
            for n in range(3)
        ]
        parquet(tmp_path / "data" / f"train-0000{part}-of-00002.parquet", rows)
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", [{"question": "Q", "answer": "A"}])
    (tmp_path / "README.md").write_text(
        "---\nlicense: cc-by-nc-nd-4.0\nextra_gated_prompt: For research\n  only.\n---\n# X\n"
    )
    records = check_dataset(PLUGIN, tmp_path, 6, options={"split": "train"})
    assert records[4].images == ("0000004.png",)
    assert records[4].turns == (Turn("<image>\nWhich 1?", "11"),)
    rows = list(PLUGIN.scan(tmp_path, {"split": "train"}, False))
    assert rows[4].pictures == {"0000004.png": png(11)}
    assert PLUGIN.terms(tmp_path, {}) == Terms("cc-by-nc-nd-4.0", ("For research only.",))


def test_classes_have_names(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["tofu", "soup"]}}
    rows = [{"image": {"bytes": png(n), "path": None}, "label": n} for n in (0, 1, 2)]
    parquet(tmp_path / "train.parquet", rows, features)
    first, second, third = PLUGIN.scan(tmp_path, {"prompt": "Which dish?"}, False)
    assert first.record is not None and second.record is not None
    assert [row.record.turns[0] for row in (first, second) if row.record] == [
        Turn("<image>\nWhich dish?", "tofu"),
        Turn("<image>\nWhich dish?", "soup"),
    ]
    assert third.problem is not None and "label: there is no class 2" in third.problem.message


def test_conversations_of_several_pictures(tmp_path: Path) -> None:
    rows = [
        {
            "images": [{"bytes": png(1), "path": None}, {"bytes": png(2), "path": None}],
            "texts": [
                {"user": "Which is red?", "assistant": "Both."},
                {"user": "Sure?", "assistant": "Yes."},
            ],
        }
    ]
    parquet(tmp_path / "train.parquet", rows)
    (record,) = check_dataset(PLUGIN, tmp_path, 1)
    assert record.images == ("0000000-0.png", "0000000-1.png")
    assert record.turns == (Turn("<image>\n<image>\nWhich is red?", "Both."), Turn("Sure?", "Yes."))


def test_image_folders(tmp_path: Path) -> None:
    for name in ("tofu/1.png", "tofu/2.png", "soup/1.png"):
        (tmp_path / "by_class" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "by_class" / name).write_bytes(png(3))
    records = check_dataset(PLUGIN, tmp_path / "by_class", 3)
    assert [(r.images[0], r.turns[0].answer) for r in records] == [
        ("soup/1.png", "soup"),
        ("tofu/1.png", "tofu"),
        ("tofu/2.png", "tofu"),
    ]
    captions = tmp_path / "captions" / "train"
    captions.mkdir(parents=True)
    (captions / "a.png").write_bytes(png(4))
    (captions / "metadata.csv").write_text("file_name,text\na.png,A red square\n")
    (record,) = check_dataset(PLUGIN, tmp_path / "captions", 1)
    assert (record.images, record.turns[0].answer) == (("train/a.png",), "A red square")


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        (
            [{"question": "Q", "answer": "A"}],
            {"answer": "reply"},
            "there is no column 'reply' (there are: question, answer)",
        ),
        ([{"question": "Q"}], {}, "no column with answers (there are: question)"),
        ([{"question": "Q", "answer": " "}], {}, "record 0 (no id), answer: is empty"),
        (
            [{"messages": [{"role": "assistant", "content": "x"}]}],
            {},
            "messages[0]: a message of 'assistant'",
        ),
        (
            [{"image": {"bytes": None, "path": "../x.png"}, "answer": "A"}],
            {},
            "image: '../x.png' leaves the image folder",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], says: str
) -> None:
    parquet(tmp_path / "train.parquet", rows)
    with pytest.raises(DataError) as caught:
        list(PLUGIN.records(tmp_path, options))
    assert says in caught.value.message and "train.parquet" in caught.value.message


def test_no_data_and_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data of the split 'test'"):
        list(PLUGIN.records(tmp_path, {"split": "test"}))
    (tmp_path / "train.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match="not a parquet file"):
        list(PLUGIN.records(tmp_path, {}))
