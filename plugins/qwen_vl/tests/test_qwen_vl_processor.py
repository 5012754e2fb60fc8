"""Pictures arranged by Qwen's own processor: training, asking and serving see the same; what cannot
be is refused."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_peft import PeftTrainer
from hubkit_transformers import TransformersEngine
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.tiny_processor import QWEN, QWEN2, jobs, make, records

import hubkit
from hubkit.errors import DataError, EnvironmentFailure, HubkitError, UsageError
from hubkit.sdk import Record, SilentRun, Turn, read_answers, write_jsonl
from hubkit.sdk.processing import Inputs, Processor, batched, joined
from hubkit.sdk.testing import check_trainer


@pytest.fixture(scope="module")
def both(tiny: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return jobs(tiny, tmp_path_factory.mktemp("jobs"), records(), images)


def test_training_and_asking_give_the_model_the_same(both: tuple[Any, Any]) -> None:
    trained = check_trained_and_asked(*both, linears=14)
    assert trained.prompt.endswith(
        "user\n<|vision_start|><|image_pad|><|vision_end|>Which colours?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_qwen2_vl_too(images: Path, tmp_path: Path) -> None:
    older = jobs(make(QWEN2, tmp_path / "base"), tmp_path / "jobs", records(), images)
    check_trained_and_asked(*older, linears=14)
    check_rows_apart(older[0])


def test_it_repeats_resumes_and_is_foreseen(both: tuple[Any, Any], tmp_path: Path) -> None:
    options = {**both[0].options, "steps": 2, "batch_size": 2, "checkpoint_every": 1}
    places = {"output": tmp_path / "out", "scratch": tmp_path / "scratch"}
    check_trainer(PeftTrainer(), replace(both[0], options=options, **places))


def test_rows_of_a_batch_do_not_touch_each_other(both: tuple[Any, Any]) -> None:
    """Positions in three sections and the windows of the vision transformer included."""
    check_rows_apart(both[0])


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(QWEN, tmp_path, "Qwen2.5-VL-Tiny-Colours", steps=220)


def test_the_first_turn_is_what_transformers_itself_makes(images: Path, both: Any) -> None:
    from hubkit_transformers.inputs import arrangement, pieces, question

    arrange = arrangement(both[0].native, both[0].vision)
    found = question(records()[0], images, arrange)
    (own,) = pieces(arrange, found, 0, ())
    message = [
        {"type": "image", "image": found.pictures[0]},
        {"type": "text", "text": "Which colours?"},
    ]
    processor = Processor.open(both[0].native)
    theirs = processor.processor.apply_chat_template(
        [{"role": "user", "content": message}],
        chat_template=processor.template,
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert own.ids == tuple(theirs["input_ids"][0].tolist())
    for name, tensor in {**own.tokens, **own.pictures}.items():
        assert tensor.equal(theirs[name]), name


def test_it_is_served_as_it_is_asked(images: Path, both: Any, tmp_path: Path) -> None:
    """The server's greedy answer to a picture, before and after a text, is the engine's."""
    from hubkit_transformers.loading import load
    from hubkit_transformers.options import Options
    from hubkit_transformers.serving.generator import Ended, Generator
    from hubkit_transformers.serving.requests import read_chat

    write_jsonl(tmp_path / "records.jsonl", records()[:1])
    asked = replace(both[1], records=tmp_path / "records.jsonl", output=tmp_path)
    (answer,) = read_answers(tmp_path / TransformersEngine().generate(asked, SilentRun()).answers)
    data = base64.b64encode((images / "0.png").read_bytes()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": "Which colours?"},
    ]
    said = []
    loaded = load(both[1].native, both[1].model, both[1].vision, Options(threads=1, device="cpu"))
    with Generator(loaded) as generator:
        for given in (content, "Describe it.", content):
            messages = [{"role": "user", "content": given}]
            body = {"model": "tiny", "max_tokens": 4, "messages": messages}
            job = generator.submit(read_chat(body, "tiny", generator.see))
            pieces: list[Any] = []
            while not pieces or not isinstance(pieces[-1], Ended):
                pieces.append(job.pieces.get(timeout=60))
            said.append("".join(pieces[:-1]))
    assert said[0] == said[2] == answer.texts[0]


@pytest.mark.integration  # it starts a worker
def test_prepare_measures_with_the_processor(tiny: Path, images: Path, tmp_path: Path) -> None:
    rows = [
        {
            "id": str(number),
            "image": f"{number}.png",
            "conversations": [
                {"from": "human", "value": "<image>\nDescribe it."},
                {"from": "gpt", "value": "red"},
            ],
        }
        for number in range(3)
    ]
    (tmp_path / "d.json").write_text(json.dumps(rows), "utf-8")
    settings = hubkit.PrepareSettings(images=images, base=tiny, max_length=50)
    found = hubkit.prepare(tmp_path / "d.json", None, settings)
    encoder_lengths = _lengths(tiny, images, rows)
    assert found.report.lengths is not None and found.report.tiles == {}
    assert found.report.lengths.measured == 3
    assert (found.report.lengths.least, found.report.lengths.most) == (
        min(encoder_lengths),
        max(encoder_lengths),
    )


def _lengths(tiny: Path, images: Path, rows: list[dict[str, Any]]) -> list[int]:
    from PIL import Image

    processor = Processor.open(tiny)
    text = processor.render(
        [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": "Describe it."}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "red"}]},
        ],
        False,
    )
    return [
        len(processor.inputs(text, [Image.open(images / row["image"]).convert("RGB")]).ids)
        for row in rows
    ]


def test_tensors_of_other_sizes_are_filled_up() -> None:
    """As LLaVA-NeXT's and Idefics3's processors do for pictures of several numbers of tiles."""
    import torch

    small, large = torch.ones(1, 2, 3), torch.ones(1, 4, 3)
    flags = torch.tensor([[1, 2]])
    rows = [
        Inputs((5, 6), {"flags": flags}, {"pixels": small}),
        Inputs((7,), {}, {"pixels": large}),
        Inputs((8, 9, 10)),
    ]
    batch = batched(rows, 0, "left")
    assert batch["input_ids"].tolist() == [[0, 5, 6], [0, 0, 7], [8, 9, 10]]
    assert batch["attention_mask"].tolist() == [[0, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert batch["flags"].tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 0]]
    assert batch["pixels"].shape == (2, 4, 3) and batch["pixels"][0, 2:].sum() == 0
    one = joined(rows[:2])
    assert one.ids == (5, 6, 7) and one.tokens["flags"].tolist() == [[1, 2, 0]]
    assert one.digest() != joined(rows[1::-1]).digest()


def _trained(job: Any, tmp_path: Path, taught: Record, **options: Any) -> None:
    write_jsonl(tmp_path / "records.jsonl", [taught])
    given = {**job.options, **options}
    PeftTrainer().train(
        replace(job, records=tmp_path / "records.jsonl", options=given), SilentRun()
    )


def test_records_that_do_not_fit_are_refused_before_training(both: Any, tmp_path: Path) -> None:
    job, (one, *_) = both[0], records()
    with pytest.raises(DataError, match=r"record one: \d+ tokens, max_length is 30"):
        _trained(job, tmp_path, one, max_length=30)
    with pytest.raises(DataError, match="record one: 1 <image> in the prompts for 2 pictures"):
        _trained(job, tmp_path, replace(one, images=("0.png", "1.png")))
    written = replace(one, turns=(Turn("<image>\nA <|image_pad|>?", "red"),))
    with pytest.raises(DataError, match="record one: a prompt contains an image token"):
        _trained(job, tmp_path, written)
    with pytest.raises(UsageError, match="shard: always is for models whose pictures hubkit"):
        _trained(job, tmp_path, one, shard="always")


def test_a_picture_that_the_processor_does_not_take_names_the_record(
    both: Any, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (3, 900)).save(tmp_path / "thin.png")
    job, thin = replace(both[0], images=tmp_path), replace(records()[0], images=("thin.png",))
    with pytest.raises(DataError, match="record one, turn 1: the model's processor does not take"):
        _trained(job, tmp_path, thin)


BROKEN: dict[str, tuple[dict[str, Any], type[HubkitError], str, int]] = {
    "newer processor": (
        {"processor_class": "Qwen9VLProcessor"},
        EnvironmentFailure,
        "preprocessor_config.json: processor_class is 'Qwen9VLProcessor', and transformers",
        4,
    ),
    "newer image processor": (
        {"image_processor_type": "Qwen9VLImageProcessor"},
        EnvironmentFailure,
        "cannot load the image processor 'Qwen9VLImageProcessor'",
        4,
    ),
    "torchvision": (
        {"processor_class": "PixtralProcessor"},
        EnvironmentFailure,
        "processor_class: PixtralProcessor needs torchvision",
        4,
    ),
    "other parts": (
        {"processor_class": "Gemma3nProcessor"},
        UsageError,
        "Gemma3nProcessor needs feature_extractor",
        2,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_processor_that_cannot_be_used_is_refused(name: str, both: Any, tmp_path: Path) -> None:
    changed, kind, message, code = BROKEN[name]
    _copied(both[0].native, tmp_path, changed)
    with pytest.raises(kind, match=message) as caught:
        Processor.open(tmp_path / "native")
    assert caught.value.exit_code == code and str(tmp_path) not in str(caught.value)


def test_a_missing_processor_is_refused_and_its_files_are_the_remedy(
    both: Any, tmp_path: Path
) -> None:
    native = _copied(both[0].native, tmp_path, {})
    kept = (native / "preprocessor_config.json").read_bytes()
    (native / "preprocessor_config.json").unlink()
    with pytest.raises(
        UsageError, match=r"no preprocessor_config\.json that can be read"
    ) as caught:
        Processor.open(native)
    assert "copy the processor's files from the base model" in caught.value.remedy
    (native / "preprocessor_config.json").write_bytes(kept)
    Processor.open(native)


def test_a_template_that_swallows_pictures_is_refused(both: Any, tmp_path: Path) -> None:
    native = _copied(both[0].native, tmp_path, {})
    plain = "{% for message in messages %}{{ message['role'] }}{% endfor %}<|im_end|>"
    (native / "chat_template.jinja").write_text(plain, "utf-8")
    with pytest.raises(UsageError, match=r"the chat template puts 0 <\|image_pad\|> for 1 picture"):
        _trained(replace(both[0], native=native), tmp_path, records()[0])


def _copied(native: Path, place: Path, changed: dict[str, Any]) -> Path:
    ignored = shutil.ignore_patterns("*.safetensors")
    copied = Path(shutil.copytree(native, place / "native", ignore=ignored))
    file = copied / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changed}), "utf-8")
    return copied
