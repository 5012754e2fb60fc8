"""`hubkit prepare` on real files: what it writes, refuses, repairs and finds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from testing.projects import BASE

import hubkit
from hubkit.data.preparation import read_checked
from hubkit.data.prepare import PreparedData, PrepareSettings
from hubkit.data.recognise import recognise
from hubkit.data.scan import rows
from hubkit.errors import DataError, UsageError
from hubkit.reporting import SilentReporter


def talk(prompt: str = "<image>\nWhich dish?", answer: str = "tofu") -> list[dict[str, str]]:
    return [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]


def picture(path: Path, colour: int = 0, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour % 256, colour // 256, 90)).save(path)


def dataset(folder: Path, count: int = 10, **changes: dict[str, Any]) -> Path:
    """`count` records with a picture each; `r3={...}` changes record 3."""
    items = []
    for number in range(count):
        picture(folder / "img" / f"{number}.png", number)
        item = {
            "id": str(number),
            "image": f"img/{number}.png",
            "conversations": talk(answer=f"dish {number}"),
        }
        items.append({**item, **changes.get(f"r{number}", {})})
    source = folder / "data.json"
    source.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
    return source


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def prepare(
    source: Path, out: Path | None, report: Path | None = None, **settings: Any
) -> PreparedData:
    return hubkit.prepare(source, out, PrepareSettings(**settings), report=report)


def test_a_sound_dataset_is_split_written_and_described(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in")
    done = prepare(source, tmp_path / "out", holdout=3, license="cc-by-4.0")
    assert (done.train, done.holdout, done.report.records, done.report.pictures) == (7, 3, 10, 10)
    assert done.files == (
        "dataset.json",
        "holdout.jsonl",
        "report.html",
        "report.json",
        "train.jsonl",
    )
    train, held = lines(tmp_path / "out" / "train.jsonl"), lines(tmp_path / "out" / "holdout.jsonl")
    assert sorted([*train, *held], key=lambda one: int(one["id"])) == json.loads(
        source.read_text("utf-8")
    )
    assert (
        json.loads((tmp_path / "out" / "dataset.json").read_text())["terms"]["license"]
        == "cc-by-4.0"
    )
    again = prepare(source, tmp_path / "again", holdout=3, license="cc-by-4.0")
    assert again.report == done.report
    for name in done.files:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), (
            name
        )


def test_repeat_as_in_the_tutorial(tmp_path: Path) -> None:
    done = prepare(dataset(tmp_path / "in", 20), tmp_path / "out", repeat=6)
    written = lines(tmp_path / "out" / "train.jsonl")
    assert done.train == len(written) == 120 == len({one["id"] for one in written})
    assert [one["image"] for one in written[:20]] * 6 == [one["image"] for one in written]


BROKEN = {
    "conversation": ({"conversations": None, "conversation": talk()}, "conversation"),
    "no mark": ({"conversations": talk("Which?")}, "marks"),
    "roles": ({"conversations": list(reversed(talk()))}, "roles"),
    "empty": ({"conversations": talk(answer=" ")}, "empty"),
    "missing": ({"image": "img/none.png"}, "image"),
    "escape": ({"image": "../secret.png"}, "path"),
    "same id": ({"id": "1"}, "id"),
}


def test_all_problems_are_named_with_file_record_and_field_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    changes = {f"r{number + 2}": change for number, (change, _) in enumerate(BROKEN.values())}
    source = dataset(tmp_path / "in", 10, **changes)
    items = json.loads(source.read_text())
    del items[2]["conversations"]
    source.write_text(json.dumps(items))
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out", report=tmp_path / "report.html")
    message = caught.value.message
    assert message.startswith("data.json: 7 records cannot be used:")
    for number, field in (
        (2, "conversation:"),
        (3, "conversations[0]:"),
        (4, "conversations[0]:"),
        (5, "conversations[1]:"),
    ):
        assert f"{source}, record {number} (id '{number}'), {field}" in message
    assert "record 6 (id '6'): image img/none.png: no such file" in message
    assert "record 7 (id '7'), image: '../secret.png' leaves the image folder" in message
    assert "record 8 (id '1'), id: an earlier record has the same id" in message
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("*.partial"))
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "roles out of order" in page and "&#39;../secret.png&#39; leaves" in page
    kept = prepare(source, tmp_path / "out", skip=True)
    assert (kept.train, [p.code for p in kept.report.problems]) == (
        3,
        ["empty", "id", "image", "keys", "marks", "path", "roles"],
    )


def test_pictures_that_lie_in_a_folder_below_are_found_for_the_remedy(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 4)
    images = tmp_path / "in" / "pics"
    images.mkdir()
    (tmp_path / "in" / "img").rename(images / "img")
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out")
    assert f"it is in {images}" in caught.value.remedy
    assert prepare(source, tmp_path / "out", images=images).train == 4


def test_fix_repairs_what_is_safe_and_says_so(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 4, r1={"conversations": talk("Which?")}, r2={"id": "0"})
    done = prepare(source, tmp_path / "out", fix=True)
    assert done.report.fixes == {
        "added <image> to the first prompt": 1,
        "gave a repeated id a number": 1,
    }
    written = lines(tmp_path / "out" / "train.jsonl")
    assert [one["id"] for one in written] == ["0", "1", "0-2", "3"]
    assert written[1]["conversations"][0]["value"] == "<image>\nWhich?"
    assert "gave a repeated id a number" in (tmp_path / "out" / "report.html").read_text("utf-8")


def bomb(path: Path) -> None:
    """A PNG whose header asks for 20,000 x 20,000 pixels."""
    head = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            len(c[4:]).to_bytes(4, "big") + c + zlib.crc32(c).to_bytes(4, "big")
            for c in (head, data, b"IEND")
        )
    )


def test_pictures_that_are_none_are_named(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 6, r4={"image": "IMG/4.png"}, r5={"image": "img/5.jpg"})
    images = tmp_path / "in" / "img"
    bomb(images / "0.png")
    (images / "1.png").write_text("<html>not found</html>")
    (images / "2.png").write_bytes((images / "3.png").read_bytes()[:-30])
    with pytest.raises(DataError) as caught:
        prepare(source, None)
    message = caught.value.message
    assert (
        "record 0 (id '0'): image img/0.png: " in message
        and "more" in message.split("img/0.png: ")[1].split("\n")[0]
    )
    assert "img/1.png: not an image" in message
    assert "img/2.png: " in message and "img/3.png" not in message
    assert "image img/5.jpg: no such file (but there is '5.png')" in message
    with pytest.raises(DataError, match="2 records cannot be used"):
        prepare(source, None, look="exist")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"id": "1", "conversations": []},\n{"id" 2}]', "line 2, column 7: not JSON"),
        (b"\xff\xfe[\x00]\x00", "neither a JSON array nor JSON Lines"),
        (b'[\n{"id": "\xff"}]', "line 2: not UTF-8"),
        (b"[]", "it is empty"),
        (b'{"id": "1"}\n{oops\n', "2 records cannot be used"),
    ],
)
def test_files_that_are_no_dataset(tmp_path: Path, content: bytes, says: str) -> None:
    source = tmp_path / "data.json"
    source.write_bytes(content)
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out")
    assert says in caught.value.message and caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_settings_that_leave_nothing(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 4, r1={"image": "img/0.png"}, r3={"image": "img/2.png"})
    for settings, says, remedy, better in (
        ({"repeat": 0}, "repeat is 0", "repeat at least once", {"repeat": 1}),
        ({"holdout": 4}, "none is left to train on", "lower data.holdout", {"holdout": 3}),
        (
            {"holdout": 1, "group": "image"},
            "every group of records that share a picture is larger than the 1 records",
            "raise data.holdout, or set data.group to `record`",
            {"holdout": 2, "group": "image"},
        ),
    ):
        with pytest.raises((UsageError, DataError), match=says) as caught:
            prepare(source, None, **settings)
        assert caught.value.remedy == remedy
        assert prepare(source, None, **better).report.records == 4
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(DataError, match="holds no records: it is empty"):
        read_checked("llava_json", tmp_path / "empty.json", tmp_path, {}, SilentReporter())
    with pytest.raises(DataError, match=r"none\.json: no such dataset"):
        list(rows("llava_json", tmp_path / "none.json", {}))


def without_template(base: Path) -> None:
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings.pop("chat_template")
    (base / "tokenizer_config.json").write_text(json.dumps(settings))


def refusing(base: Path) -> None:
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{{ raise_exception('too short') }}"
    (base / "tokenizer_config.json").write_text(json.dumps(settings))


def of_numbers(base: Path) -> None:
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings["chat_template"] = 7
    (base / "tokenizer_config.json").write_text(json.dumps(settings))


def without_merges(base: Path) -> None:
    (base / "tokenizer.json").rename(base / "vocab.json")


@pytest.mark.parametrize(
    ("change", "says", "remedy"),
    [
        (without_template, "has no chat template", "take chat_template from the model's own"),
        (refusing, "refuses a record: too short", "correct the record or the template"),
        (of_numbers, "chat_template is not a text", "take the file from the base again"),
        (without_merges, "has no tokenizer that can be read", "a whole download of the model?"),
    ],
)
def test_a_base_that_cannot_count(
    tmp_path: Path, change: Callable[[Path], None], says: str, remedy: str
) -> None:
    source, base = dataset(tmp_path / "in", 1), tmp_path / "base"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__"))
    change(base)
    report = prepare(source, None, base=base, max_length=100).report
    (note,) = report.notes
    assert says in note and remedy in note and report.lengths is None
    for name in ("tokenizer_config.json", "tokenizer.json"):
        shutil.copy(BASE / name, base)
    report = prepare(source, None, base=base, max_length=100).report
    assert report.notes == () and report.lengths is not None


def test_counting_takes_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (note,) = prepare(dataset(tmp_path / "in", 1), None, base=BASE, max_length=100).report.notes
    assert "needs the package tokenizers" in note and "[transformers]" in note


def test_nothing_left_after_leaving_out(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 2, r0={"image": "x.png"}, r1={"image": "y.png"})
    with pytest.raises(DataError, match="none of 2 records is valid"):
        prepare(source, tmp_path / "out", skip=True)
    assert not (tmp_path / "out").exists()


def test_what_training_and_holdout_share_is_found(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 12)
    images = tmp_path / "in" / "img"
    for number in (4, 5, 6):
        (images / f"{number}.png").write_bytes((images / "0.png").read_bytes())
    long = "a long story about one dish " * 10
    held = dataset(tmp_path / "held", 3, r0={"conversations": talk("Which?", long)})
    items = json.loads(held.read_text())
    items[0]["conversations"] = talk("<image>\n" + long, long)
    items[1]["image"] = "img/11.png"
    picture(tmp_path / "held" / "img" / "11.png", 11)
    held.write_text(json.dumps(items))
    trained = json.loads(source.read_text())
    trained[9]["conversations"] = talk("<image>\n" + long, long)
    source.write_text(json.dumps(trained))
    for number in (0, 2):
        picture(tmp_path / "held" / "img" / f"{number}.png", 1000 + number)
        picture(tmp_path / "in" / "img" / f"held{number}.png", 1000 + number)
    for item in items[::2]:
        item["image"] = f"img/held{item['id']}.png"
    held.write_text(json.dumps(items))
    done = prepare(source, None, holdout=held, images=tmp_path / "in")
    assert done.report.same == 3
    assert done.report.shared is not None
    assert (
        done.report.shared.records,
        done.report.shared.by_picture,
        done.report.shared.by_text,
    ) == (2, 1, 1)
    together = prepare(source, tmp_path / "out", holdout=4, group="image")
    assert together.report.shared is not None and together.report.shared.records == 0
    sides = [
        {one["id"] for one in lines(tmp_path / "out" / name)}
        for name in ("train.jsonl", "holdout.jsonl")
    ]
    assert sum({"0", "4", "5", "6"} <= side for side in sides) == 1


def test_lengths_and_tiles(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    source = dataset(tmp_path / "in", 6, r5={"conversations": talk(answer="dish " * 80)})
    picture(tmp_path / "in" / "img" / "5.png", 5, (200, 100))
    report = prepare(source, None, base=BASE, max_length=100).report
    asked = "<img>" + "<IMG_CONTEXT>" * 16 + "</img>\nWhich dish?"
    text = f"<s><|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\ndish 0<|im_end|>\n"
    assert report.lengths is not None
    assert report.lengths.least == len(
        Tokenizer.from_file(str(BASE / "tokenizer.json")).encode(text, add_special_tokens=False)
    )
    assert (report.lengths.limit, report.lengths.over, report.lengths.unanswered) == (100, 1, 0)
    assert sum(number for _, _, number in report.lengths.bins) == 6
    assert report.tiles == {"1": 5, "3": 1}


@pytest.mark.integration
def test_lengths_are_those_of_transformers(tmp_path: Path) -> None:
    """Counted once more with transformers' own tokenizer on the native folder."""
    from hubkit.sdk import Record, Turn, prompts, segments
    from hubkit.weights.model import open_model
    from hubkit.weights.native_files import write_native_files

    source = dataset(tmp_path / "in", 6, r5={"conversations": talk(answer="dish " * 80)})
    picture(tmp_path / "in" / "img" / "5.png", 5, (200, 100))
    done = prepare(source, None, base=BASE, max_length=100)
    model, native = open_model(BASE), tmp_path / "native"
    native.mkdir()
    write_native_files(
        BASE,
        native,
        model.family.native(model.config, hubkit.sdk.token_ids(BASE)),
        model.family,
        model.config,
    )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(native)
    vision = model.vision
    counts = []
    for item in json.loads(source.read_text()):
        tiles = 3 if item["id"] == "5" else 1
        record = Record(
            item["id"],
            (item["image"],),
            (Turn(*(turn["value"] for turn in item["conversations"])),),
        )
        render = lambda messages, speak: tokenizer.apply_chat_template(  # noqa: E731
            messages, tokenize=False, add_generation_prompt=speak
        )
        pieces = segments(
            render, prompts(record, [tiles], vision), [turn.answer for turn in record.turns]
        )
        counts.append(
            sum(len(tokenizer(text, add_special_tokens=False).input_ids) for text, _ in pieces)
        )
    assert done.report.lengths is not None
    assert (done.report.lengths.least, done.report.lengths.most) == (min(counts), max(counts))
    assert (done.report.lengths.limit, done.report.lengths.over) == (
        100,
        sum(count > 100 for count in counts),
    )


def test_the_out_folder_is_not_overwritten_and_pictures_can_be_copied(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 3)
    (tmp_path / "out").mkdir()
    done = prepare(source, tmp_path / "out", copy=True)
    assert done.images == tmp_path / "out" / "images"
    assert (done.images / "img" / "2.png").read_bytes() == (
        tmp_path / "in" / "img" / "2.png"
    ).read_bytes()
    with pytest.raises(UsageError, match="is not empty"):
        prepare(source, tmp_path / "out")


def test_pictures_in_parquet_are_written_out(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    picture(tmp_path / "a.png", 7)
    image = {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}
    table = [{"image": image, "question": f"Q{n}?", "answer": "A"} for n in (1, 2)]
    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "in" / "train.parquet")
    with pytest.raises(DataError, match="lie within the dataset's own files"):
        read_checked("hf_datasets", tmp_path / "in", tmp_path, {}, SilentReporter())
    with pytest.raises(UsageError, match="lie within the dataset's own files") as refused:
        recognise(tmp_path / "in")
    assert f"hubkit prepare --format hf_datasets {tmp_path / 'in'} OUT" in refused.value.remedy
    done = prepare(tmp_path / "in", tmp_path / "out", format="hf_datasets")
    assert recognise(tmp_path / "out").images == done.images
    found, _ = read_checked(
        "llava_json", tmp_path / "out" / "train.jsonl", done.images, {}, SilentReporter()
    )  # as the remedy says
    assert len(found) == 2
    assert (done.images / "0000001.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert lines(tmp_path / "out" / "train.jsonl")[1]["image"] == "0000001.png"
    again = prepare(tmp_path / "out" / "train.jsonl", None, images=done.images)
    assert again.report.records == 2


def test_the_command_line(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in", 5, r1={"conversations": talk("Which?")})

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hubkit", "prepare", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run(str(tmp_path / "out"), "--json")
    error = json.loads(refused.stdout.splitlines()[-1])
    assert (refused.returncode, error["error"]) == (
        2,
        "DataError",
    ) and "record 1 (id '1')" in error["message"]
    assert not (tmp_path / "out").exists()
    done = run(str(tmp_path / "out"), "--fix", "--holdout", "0.4", "--repeat", "2")
    assert done.returncode == 0, done.stderr
    assert "6 records to train on, 2 held out" in done.stdout and "added <image>" in done.stdout
    dry = run("--dry-run", "--fix", "--json")
    assert dry.returncode == 0 and json.loads(dry.stdout.splitlines()[-1])["report"]["records"] == 5
    assert run().returncode == 2
