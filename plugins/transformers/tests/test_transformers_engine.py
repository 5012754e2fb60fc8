"""The engine on the tiny base: conformance, batches, history, resuming, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from hubkit_transformers import TransformersEngine
from hubkit_transformers.batching import Limits, Ready, batches
from hubkit_transformers.close_calls import SHARES, CloseCalls
from hubkit_transformers.inputs import Question
from hubkit_transformers.kept import Kept

from hubkit.sdk import (
    Answer,
    CancelledError,
    DataError,
    EnvironmentFailure,
    Record,
    SilentRun,
    Turn,
    UsageError,
    read_answers,
)
from hubkit.sdk.processing import Inputs
from hubkit.sdk.testing import check_engine
from plugins.transformers.tests.conftest import PARITY, READ

torch = pytest.importorskip("torch")


class Counted(SilentRun):
    """Cancelled after so many reports."""

    def __init__(self, cancel_at=1000):
        self.seen, self.notes, self._cancel_at = [], [], cancel_at

    def check_cancelled(self):
        if len(self.seen) >= self._cancel_at:
            raise CancelledError("interrupted", "again")

    def note(self, message):
        self.notes.append(message)

    def progress(self, done, total, unit, **numbers):
        self.seen.append(done)


def answers(job, run=None):
    output = TransformersEngine().generate(job, run or SilentRun())
    return list(read_answers(job.output / output.answers)), output


def test_conformance(job):
    output = check_engine(TransformersEngine(), job())
    assert output.prompt == (
        "<s><|im_start|>user\n<img><IMG_CONTEXT></img>\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("exact", [True, False])
def test_batches_do_not_change_answers(job, exact):
    together, _ = answers(job(name="together", batch_size=8, exact=exact))
    alone, _ = answers(job(name="alone", batch_size=1))
    few, _ = answers(job(name="few", batch_tokens=200, exact=exact))
    assert together == alone == few


@pytest.mark.integration
def test_a_holdout_is_answered_as_one_by_one(job, images):
    """Handwriting and print, one tile and three, one turn and two: all texts, reasons and counts of
    tokens, though nothing is asked again."""
    asked = [(READ,), (READ, PARITY), (PARITY, replace(READ, prompt="<image>\nSpell it."))]
    names = [*(f"{digit}.png" for digit in range(10)), "wide.png"]
    records = [Record(str(n), (names[n % 11],), asked[n % 3], {"n": str(n)}) for n in range(3 * 11)]
    alone, _ = answers(job(records, name="alone", tokens=16, batch_size=1))
    for size in (3, 16, 64):
        found, _ = answers(job(records, name=f"by{size}", tokens=16, batch_size=size, exact=False))
        assert found == alone
    assert len({answer.texts for answer in alone}) > 20


def test_reads_printed_digits_over_two_turns(job):
    asked = (Turn("<image>\nWhich digit is this?", ""), Turn("Is it even or odd?", ""))
    found, _ = answers(job([Record(str(d), (f"{d}.png",), asked) for d in range(10)]))
    right = sum(
        answer.texts == (str(d), "odd" if d % 2 else "even") for d, answer in enumerate(found)
    )
    assert right >= 8, [answer.texts for answer in found]
    assert {reason for answer in found for reason in answer.finish} == {"stop"}


def test_equals_greedy_search_without_cache(job, native, images, vision):
    """Against an independent loop: whole forward passes, tokenized in one go, and the argmax."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

    (found,), _ = answers(
        job(
            [
                Record(
                    "7",
                    ("7.png",),
                    (Turn("<image>\nWhich digit is this?", ""), Turn("Spell it.", "")),
                )
            ]
        )
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(native)
    model = AutoModelForImageTextToText.from_pretrained(native, dtype=torch.float32).eval()
    values = (
        torch.tensor(list(Image.open(images / "7.png").convert("RGB").tobytes())).view(1, 56, 56, 3)
        / 255
    )
    pixels = ((values - torch.tensor(vision.mean)) / torch.tensor(vision.std)).permute(0, 3, 1, 2)
    picture = "<img>" + "<IMG_CONTEXT>" * 16 + "</img>"
    text = (
        f"<s><|im_start|>user\n{picture}\nWhich digit is this?<|im_end|>\n<|im_start|>assistant\n"
    )
    said = []
    for following in ("<|im_start|>user\nSpell it.<|im_end|>\n<|im_start|>assistant\n", ""):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        start = len(ids)
        while ids[-1] not in (2, 4) and len(ids) < start + 8:
            with torch.no_grad():
                ids.append(
                    int(
                        model(input_ids=torch.tensor([ids]), pixel_values=pixels)
                        .logits[0, -1]
                        .argmax()
                    )
                )
        said.append(tokenizer.decode(ids[start:], skip_special_tokens=True))
        text += f"{said[-1]}<|im_end|>\n{following}"
    assert found.texts == tuple(said)


def test_length_is_reported(job):
    (found,), _ = answers(
        job([Record("3", ("3.png",), (Turn("<image>\nWhich digit is this?", ""),))], tokens=1)
    )
    assert (found.finish, found.tokens) == (("length",), (1,))


def test_continues_after_a_torn_line(job, records):
    whole, _ = answers(job(name="whole", batch_size=3))
    resumed = job(name="resumed", batch_size=3)
    with pytest.raises(CancelledError):
        TransformersEngine().generate(resumed, Counted(cancel_at=2))
    journal = resumed.output / "answers.part.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6 and not (resumed.output / "answers.jsonl").exists()
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:9])
    run = Counted()
    found, _ = answers(resumed, run)
    assert found == whole
    assert run.seen == [7, 8]
    assert [path.name for path in resumed.output.iterdir()] == ["answers.jsonl"]


def test_answers_of_other_records_are_not_kept(tmp_path, records):
    kept = Kept(tmp_path / "answers.jsonl", records)
    kept.add([(1, Answer("d1", ("1",), ("stop",), (1,))), (2, Answer("d9", ("2",), ("stop",)))])
    assert [place for place, _ in Kept(tmp_path / "answers.jsonl", records).missing()] == [
        *(0, 2, 3, 4, 5, 6, 7)
    ]
    assert len(Kept(tmp_path / "answers.jsonl", records[:1])) == 0


def test_batches_are_of_like_length_within_the_limits(records):
    def ready(numbered):
        place, record = numbered
        return Ready(place, Question(record, (), ()), Inputs(()), (place % 5 + 1) * 10)

    def places(limits):
        return [[one.place for one in batch] for batch in batches(items, ready, limits)]

    items = [(place, records[0]) for place in range(8)]
    assert places(Limits(3, 1000, 1000)) == [[4, 3, 2], [7, 1, 6], [0, 5]]
    assert places(Limits(8, 100, 1000)) == [[4, 3], [2, 7, 1], [6, 0, 5]]
    assert places(Limits(8, 1000, 35)) == [[4], [3], [2, 7, 1, 6, 0, 5]]
    assert places(Limits(2, 15, 1000)) == [[4], [3], [2], [7], [1], [6], [0], [5]]


def test_close_calls_of_rows_that_have_not_ended():
    watch = CloseCalls((2,), "bfloat16")
    far, near = [0.0, 0.0, 9.0], [0.0, 8.9, 9.0]
    for ids, scores in (
        ([[5], [5], [5]], [far, near, far]),
        ([[5, 2], [5, 1], [5, 1]], [near, far, far]),
    ):
        given = torch.tensor(scores)
        assert watch(torch.tensor(ids), given) is given
    assert watch.close.tolist() == [False, True, False]


def test_close_calls_are_asked_again_alone(job, monkeypatch):
    monkeypatch.setitem(SHARES, "float32", 1e9)
    run = Counted()
    found, _ = answers(job(name="close", batch_size=8), run)
    assert run.notes == ["8 of 8 answers hung on a close call: asked alone"]
    assert found == answers(job(name="alone", batch_size=1))[0]


def test_memory_that_is_too_small_halves_a_batch(job, monkeypatch):
    from transformers import GenerationMixin

    generate, sizes = GenerationMixin.generate, []

    def short(self, **given):
        sizes.append(len(given["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("none left")
        return generate(self, **given)

    monkeypatch.setattr(GenerationMixin, "generate", short)
    most, run = 3, Counted()
    found, _ = answers(job(name="small", exact=False), run)
    assert sizes[:3] == [8, 4, 2] and max(sizes[3:]) <= 4
    assert run.notes[0] == "not enough memory for 8 records at once: 4 are asked"
    most = 8
    assert found == answers(job(name="large"))[0]
    most = 0
    with pytest.raises(EnvironmentFailure, match=r"record pair: not enough GPU memory for about"):
        answers(job(name="none"))


def test_finished_answers_are_kept(job):
    done = job(batch_size=3)
    first, _ = answers(done)
    run = Counted()
    assert answers(done, run)[0] == first
    assert run.seen == []


def test_unreadable_picture_names_record_and_file(job, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "bad.png").write_bytes(b"not a picture")
    bad = replace(
        job([Record("r9", ("bad.png",), (Turn("<image>", ""),))]), images=tmp_path / "pictures"
    )
    with pytest.raises(DataError, match=r"record r9: bad\.png is not a picture"):
        answers(bad)


def test_prompt_without_its_picture_is_refused(job):
    with pytest.raises(DataError, match="record r1: 0 <image> in the prompts for 1 pictures"):
        answers(job([Record("r1", ("1.png",), (Turn("Which digit?", ""),))]))


def test_wrong_image_token_is_refused(job, native, tmp_path):
    other = shutil.copytree(native, tmp_path / "native")
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"image_token_id": 9}), "utf-8")
    with pytest.raises(UsageError, match="image_token_id is 9, but <IMG_CONTEXT> has id 7"):
        answers(replace(job(), native=other))


def test_compressed_weights_need_their_package(job, native, tmp_path, monkeypatch):
    from hubkit_transformers import loading

    other = shutil.copytree(native, tmp_path / "native")
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "compressed-tensors"}
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailure, match="compressed-tensors is not installed"):
        answers(replace(job(), native=other))


def test_missing_tokenizer_is_refused(job, native, tmp_path):
    other = shutil.copytree(
        native, tmp_path / "native", ignore=shutil.ignore_patterns("tokenizer.json")
    )
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        answers(replace(job(), native=other))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"threads": -1}, "threads"),
        ({"dtype": "int8"}, "dtype"),
        ({"beams": 4}, "beams"),
    ],
)
def test_bad_options_are_named(job, options, named):
    with pytest.raises(UsageError, match=named):
        answers(job(**options))
