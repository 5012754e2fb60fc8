"""Against LMDeploy's own code, where it is installed: it imports without a GPU. tests/gpu/ has the
rest."""

from __future__ import annotations

import asyncio
import json
import shutil
from types import SimpleNamespace

import pytest
from hubkit_lmdeploy.asking import Asker, Question, Requests
from hubkit_lmdeploy.loading import beside, check_pictures, template_name
from hubkit_lmdeploy.messages import messages, shortened, tile_count
from hubkit_lmdeploy.options import Options
from testing import tiny_llava

from hubkit.sdk import EnvironmentFailure, Record, RefusedError, Turn, prompts, segments

lmdeploy = pytest.importorskip("lmdeploy")


@pytest.fixture
def processor(base, torchvision_operators):
    return processor_of(base)


@pytest.fixture(scope="session")
def llava(tmp_path_factory):
    import hubkit

    parts = tmp_path_factory.mktemp("llava")
    llm, clip = tiny_llava.make_llm(parts / "llm"), tiny_llava.make_clip(parts / "clip")
    hubkit.assemble(llm, clip, parts / "LLaVA-Tiny", family="llava")
    return parts / "LLaVA-Tiny"


def processor_of(model):
    """LMDeploy's own template, tokenizer and picture code on a tiny model, without an engine behind
    them."""
    from lmdeploy.messages import PytorchEngineConfig
    from lmdeploy.model import get_chat_template
    from lmdeploy.serve.processors import MultimodalProcessor
    from lmdeploy.tokenizer import Tokenizer
    from lmdeploy.vl.engine import ImageEncoder

    with beside(model, Options()) as name:
        dtype = PytorchEngineConfig(dtype="float16")
        encoder = ImageEncoder(name, "pytorch", backend_config=dtype, trust_remote_code=True)
        template, tokenizer = (
            get_chat_template(name, trust_remote_code=True),
            Tokenizer(name, trust_remote_code=True),
        )
        return MultimodalProcessor(tokenizer, template, vl_encoder=encoder, backend="pytorch")


def sent(processor, asked, context):
    """What `Requests` records when LMDeploy prepares `asked`."""

    async def preprocess(messages, gen_config):
        return SimpleNamespace(
            inputs=await processor.get_prompt_input(messages, True), gen_config=gen_config
        )

    engine = SimpleNamespace(preprocess=preprocess)
    requests = Requests(SimpleNamespace(async_engine=engine), context)
    asyncio.run(
        engine.preprocess(
            messages=asked, gen_config=lmdeploy.GenerationConfig(stop_token_ids=[2, 4])
        )
    )
    return requests.of(asked)


RECORDS = [
    Record("one", ("a",), (Turn("<image>\nWhich digit is this?", ""),)),
    Record(
        "two turns",
        ("a",),
        (Turn("<image>\nWhich digit is this?", ""), Turn("Is it even or odd?", "")),
    ),
    Record("two pictures", ("a", "b"), (Turn("<image>\n<image>\nWhich is larger?", ""),)),
    Record(
        "anywhere", ("a", "b"), (Turn("What is <image> here?", ""), Turn("And this? <image>", ""))
    ),
    Record("after the text", ("b",), (Turn("Which digit is this?\n<image>", ""),)),
    Record("text", (), (Turn("Spell it.", ""), Turn("Again.", ""))),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_the_prompt_and_its_ids_are_those_of_training(processor, record, base, vision, pictures):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)

    def render(talk, speak):
        return str(tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=speak))

    shown = [pictures["ab".index(name)] for name in record.images]
    answered = ["7"] * (len(record.turns) - 1)
    made = asyncio.run(processor.get_prompt_input(messages(record, shown, answered), True))
    counts = [tile_count(*picture.size, vision) for picture in shown]
    pieces = [text for text, _ in segments(render, prompts(record, counts, vision), answered)]
    assert made["input_ids"] == [
        number
        for piece in pieces
        for number in tokenizer(piece, add_special_tokens=False).input_ids
    ]
    assert [item["image_tokens"] for item in made.get("multimodal", ())] == [
        count * 16 for count in counts
    ]
    short = "".join(pieces)
    while "<IMG_CONTEXT>" * 2 in short:
        short = short.replace("<IMG_CONTEXT>" * 2, "<IMG_CONTEXT>")
    assert made["prompt"] == short
    assert shortened(made["input_ids"], 7) == tuple(
        tokenizer(short, add_special_tokens=False).input_ids
    )


def test_pictures_are_cut_as_in_training(vision, torchvision_operators):
    """LMDeploy's own function, over sizes of every shape."""
    from lmdeploy.vl.model.internvl import dynamic_preprocess
    from PIL import Image

    for width in (7, 20, 56, 80, 112, 140, 200, 224, 333):
        for height in (5, 28, 56, 70, 112, 150, 168, 224, 400):
            image = Image.new("RGB", (width, height))
            cut = dynamic_preprocess(
                image, vision.min_tiles, vision.max_tiles, vision.tile, vision.thumbnail
            )
            assert len(cut) == tile_count(width, height, vision), (width, height)


def test_the_configuration_is_what_the_folders_own_code_makes_of_it(base):
    from transformers import AutoConfig

    theirs = AutoConfig.from_pretrained(base, trust_remote_code=True).to_dict()
    with beside(base, Options()) as name:
        ours = AutoConfig.from_pretrained(name, trust_remote_code=True)
    assert type(ours).__module__.endswith("configuration_hubkit")
    named = ("auto_map", "_name_or_path")
    assert {k: v for k, v in ours.to_dict().items() if k not in named} == {
        k: v for k, v in theirs.items() if k not in named
    }


def test_the_template_that_was_chosen_is_named(processor):
    assert template_name(processor.chat_template) == "hf: the tokenizer's chat_template"


def test_the_silent_fallback_is_refused():
    from lmdeploy import ChatTemplateConfig

    with pytest.raises(RefusedError, match="fell back to `base`"):
        template_name(ChatTemplateConfig("internvl2-mistyped").chat_template())


def test_what_was_sent_is_recorded(processor, pictures):
    found = sent(processor, messages(RECORDS[0], [pictures[1]], []), ("<IMG_CONTEXT>", 7))
    assert found.prompt == (
        "<s><|im_start|>user\n<img><IMG_CONTEXT></img>\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (found.positions, found.stops, found.mistaken) == ((48,), frozenset({2, 4}), None)


@pytest.mark.parametrize("record", RECORDS[:3], ids=lambda record: record.id)
def test_a_llava_is_asked_with_the_prompt_of_training(
    llava, record, pictures, torchvision_operators
):
    """LMDeploy marks its pictures otherwise; what the model reads at the other positions is what
    counts."""
    from transformers import PreTrainedTokenizerFast

    tokenizer, seen = PreTrainedTokenizerFast.from_pretrained(llava), open_vision(llava)
    shown, answered = (
        [pictures["ab".index(name)] for name in record.images],
        ["7"] * (len(record.turns) - 1),
    )

    def render(talk, speak):
        return str(tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=speak))

    image = tokenizer.convert_tokens_to_ids("<image>")
    found = sent(
        processor_of(llava), messages(record, shown, answered, marks=False), ("<image>", image)
    )
    pieces = [
        text for text, _ in segments(render, prompts(record, [1] * len(shown), seen), answered)
    ]
    assert found.ids == tuple(
        n for piece in pieces for n in tokenizer(piece, add_special_tokens=False).input_ids
    )
    assert found.prompt == "".join(pieces).replace("<image>" * seen.tokens_per_tile, "<image>")
    assert (found.positions, found.mistaken) == ((seen.tokens_per_tile,) * len(shown), None)


def test_a_transformers_that_misreads_pictures_is_refused(llava, torchvision_operators):
    import transformers

    if tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 21):
        check_pictures(llava)
    else:
        with pytest.raises(EnvironmentFailure, match="misreads this model's pictures") as refused:
            check_pictures(llava)
        assert "install transformers 5.21 or newer" in refused.value.remedy


def test_a_text_with_the_id_of_pictures_is_noticed(
    llava, tmp_path, pictures, torchvision_operators
):
    """Without a pad_token_id LMDeploy takes the tokenizer's, which a text may hold."""
    model = tmp_path / "LLaVA-Padded"
    shutil.copytree(llava, model)
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps({**config, "pad_token_id": None}), "utf-8")
    asked = Record("r", ("a",), (Turn("<image>\nWhich?", ""), Turn("Why </s>?", "")))
    found = sent(
        processor_of(model), messages(asked, [pictures[0]], ["7"], marks=False), ("<image>", 415)
    )
    assert found.mistaken == 2
    asker = Asker(
        SimpleNamespace(async_engine=SimpleNamespace(preprocess=None)),
        open_vision(llava),
        (2, 4),
        8,
        415,
        False,
    )
    with pytest.raises(
        RefusedError,
        match="record r: LMDeploy finds pictures by the token id 2, which the text holds too",
    ):
        asker._check(Question(asked, (pictures[0],)), found)


def open_vision(folder):
    from hubkit.weights.model import open_model

    return open_model(folder).vision


def test_the_server_takes_pictures_only_as_data_urls(
    tmp_path, pictures, torchvision_operators, monkeypatch
):
    import base64

    from hubkit_lmdeploy.server import only_data_urls
    from lmdeploy.vl.media import connection
    from lmdeploy.vl.media.image import ImageMediaIO

    for reader in ("_load_file_url", "_load_http_url"):  # put back afterwards
        monkeypatch.setattr(connection, reader, getattr(connection, reader))
    path = tmp_path / "picture.png"
    pictures[0].save(path)
    assert connection.load_from_url(path.as_uri(), ImageMediaIO()).size == (56, 56)
    only_data_urls()
    for url in (path.as_uri(), str(path), "http://127.0.0.1:1/picture.png"):
        with pytest.raises(ValueError, match="a picture must be a data URL"):
            connection.load_from_url(url, ImageMediaIO())
    data = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    assert connection.load_from_url(data, ImageMediaIO()).size == (56, 56)
