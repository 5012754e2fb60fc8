"""Whatever is in the files: a scan gives rows, an image a picture or a reason; nothing else is
raised."""

from __future__ import annotations

import io
import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hubkit.data.pictures import Picture, Pictures, examine
from hubkit.data.scan import rows
from hubkit.errors import DataError

NAMES = """
id image images conversations conversation messages from value role content question choices answer food_meta food_file type text
image_url url path bytes system question_id
"""  # noqa: E501
TEXTS = [
    "<image>\nHi",
    "x",
    "",
    " ",
    "../a",
    "/a",
    "a.png",
    "human",
    "gpt",
    "user",
    "assistant",
    "system",
    "\ud83c",
    "2",
]
KEYS = st.sampled_from(NAMES.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(TEXTS)
)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=5), max_leaves=20
)
TALK = st.lists(
    st.fixed_dictionaries({"from": VALUES, "value": VALUES})
    | st.fixed_dictionaries({"role": VALUES, "content": VALUES}),
    max_size=4,
)
ITEMS = (
    VALUES
    | st.dictionaries(KEYS, VALUES | TALK, max_size=6)
    | st.fixed_dictionaries({"conversations": TALK, "image": VALUES})
)


@pytest.mark.parametrize("adapter", ["llava_json", "sharegpt", "foodieqa", "hf_datasets"])
def test_any_json_gives_rows(adapter: str, tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"

    @settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
    @given(items=st.lists(ITEMS, min_size=1, max_size=3), fix=st.booleans())
    def check(items: list[Any], fix: bool) -> None:
        source.write_text("".join(json.dumps(item) + "\n" for item in [{}, *items]), "utf-8")
        try:
            found = list(rows(adapter, source, {}, fix=fix))
        except DataError as error:
            assert adapter == "hf_datasets" and "no column with answers" in error.message
            return
        assert [row.index for row in found] == list(range(len(items) + 1))
        for row in found:
            assert (row.record is None) != (row.problem is None)
            if row.record:
                row.record.turns[0].prompt.encode()
                assert all(
                    ".." not in Path(image).parts and not image.startswith("/")
                    for image in row.record.images
                )

    check()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_damaged_pictures_give_a_reason(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(out, kind)
    sound, draw, path = out.getvalue(), random.Random(0), tmp_path / "picture"
    path.write_bytes(sound)
    assert isinstance(examine(path), Picture)
    reasons = 0
    for _ in range(60):
        data = bytearray(sound[: draw.randrange(1, len(sound))] if draw.random() < 0.3 else sound)
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(min(len(data), 120))] = draw.randrange(256)
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = examine(path)
        assert isinstance(found, Picture) or found
        reasons += isinstance(found, str)
    assert reasons > 3


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", ""])
def test_pictures_within_data_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is named"):
        Pictures(tmp_path, "open", tmp_path / "out" / "images").keep({name: b"x"})
    assert not any(path.name == "x.png" for path in tmp_path.rglob("*"))
