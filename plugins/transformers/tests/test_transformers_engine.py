"""The engine on the tiny base: conformance, batches, history, resuming, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from hubkit_transformers import TransformersEngine

from hubkit.sdk import DataError, Record, SilentRun, Turn, UsageError, read_answers
from hubkit.sdk.testing import check_engine

torch = pytest.importorskip("torch")


class Counted(SilentRun):
    def __init__(self):
        self.seen = []

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


def test_batches_do_not_change_answers(job):
    together, _ = answers(job(name="together", batch_size=8))
    alone, _ = answers(job(name="alone", batch_size=1))
    assert together == alone


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


def test_continues_after_a_torn_line(job):
    before = job(name="whole", batch_size=3)
    whole, output = answers(before)
    resumed = job(name="resumed", batch_size=3)
    lines = (before.output / output.answers).read_bytes().splitlines(keepends=True)
    (resumed.output / output.answers).write_bytes(b"".join(lines[:5]) + lines[5][:9])
    run = Counted()
    found, _ = answers(resumed, run)
    assert found == whole
    assert run.seen == [6, 8]


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
        ({"threads": -1}, "threads"),
        ({"dtype": "int8"}, "dtype"),
        ({"beams": 4}, "beams"),
    ],
)
def test_bad_options_are_named(job, options, named):
    with pytest.raises(UsageError, match=named):
        answers(job(**options))
