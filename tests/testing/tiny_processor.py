"""Tiny real models whose own processors arrange their pictures, in the layouts of Qwen's and
llava-hf's repositories: they describe pictures of two colours, after a minute's training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hubkit.sdk import Record, Turn, parts, segments, text_parts
from hubkit.sdk.processing import Processor, batched, joined

COLOURS = {
    "red": (220, 30, 30),
    "green": (20, 170, 40),
    "blue": (30, 40, 220),
    "white": (240, 240, 240),
}
ASK, DESCRIBE = "Which colours?", "Describe it."
SIZES = ((56, 56), (84, 56), (56, 84), (112, 56))
CORPUS = [
    f"{text} a picture in {a} and {b}"
    for a in COLOURS
    for b in COLOURS
    for text in (ASK, DESCRIBE, "system user assistant")
]


@dataclass(frozen=True)
class Kind:
    """One architecture: its config.json but for what the tokenizer decides, its special tokens, the
    processor's files, the chat template, and how its tensors are called in memory and published."""

    config: Mapping[str, Any]
    special: Sequence[str]
    files: Mapping[str, Mapping[str, Any]]
    template: str
    published: Mapping[str, str]
    image_key: str
    image: str
    stop: str
    named: Mapping[str, str] = field(default_factory=dict)
    """Further tokens that the tokenizer's settings name."""
    head: str = ""
    """`tied` where the class ties the output head though config.json does not say so; `apart`
    where it ties the head that the published weights have apart."""
    around: str = ""
    """What the tokenizer puts around a text: `</s> $A`."""
    untold: Callable[[Mapping[str, Any]], str] | None = None
    """The chat template, by config.json, where the published folder has none."""
    more: Callable[[Path, dict[str, int]], None] | None = None
    """Writes what else the folder needs, by the ids of the tokens."""


_QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

QWEN = Kind(
    config={
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "tie_word_embeddings": True,
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6},
        **{
            "bos_token_id": 0,
            "eos_token_id": 2,
            "max_position_embeddings": 1024,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": {
            **{"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2},
            **{"out_hidden_size": 64, "patch_size": 14, "spatial_merge_size": 2},
            **{"temporal_patch_size": 2, "window_size": 56, "fullatt_block_indexes": [1]},
        },
    },
    special=(
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
        *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    ),
    files={
        "preprocessor_config.json": {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
            **{"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14},
            **{"temporal_patch_size": 2, "merge_size": 2, "image_mean": _MEAN, "image_std": _STD},
        }
    },
    template=_QWEN_TEMPLATE,
    published={"model.language_model.": "model.", "model.visual.": "visual."},
    image_key="image_token_id",
    image="<|image_pad|>",
    stop="<|im_end|>",
)


QWEN2 = replace(
    QWEN,
    config={
        **QWEN.config,
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "vision_config": {
            **{"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
            **{"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2},
        },
    },
    files={
        "preprocessor_config.json": {
            **QWEN.files["preprocessor_config.json"],
            "processor_class": "Qwen2VLProcessor",
        }
    },
)
NEXT = Kind(
    config={
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "tie_word_embeddings": False,
        "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]],
        **{"vision_feature_layer": -2, "vision_feature_select_strategy": "default"},
        "text_config": {
            **{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128},
            **{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
            **{"bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 1024},
            "tie_word_embeddings": False,
        },
        "vision_config": {
            **{"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64},
            **{"num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28},
            **{"patch_size": 7, "projection_dim": 16},
        },
    },
    special=("<unk>", "</s>", "<image>"),
    files={
        "preprocessor_config.json": {
            "image_processor_type": "LlavaNextImageProcessor",
            "processor_class": "LlavaNextProcessor",
            **{"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}},
            "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]],
            **{"image_mean": _MEAN, "image_std": _STD},
        },
        "processor_config.json": {
            "processor_class": "LlavaNextProcessor",
            **{"image_token": "<image>", "patch_size": 7, "num_additional_image_tokens": 1},
            "vision_feature_select_strategy": "default",
        },
    },
    template=(
        "{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
        "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
        "{{ '<image>\n' }}{% endfor %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ content['text'] }}{% endfor %} [/INST]"
        "{% elif message['role'] == 'assistant' %} {{ message['content'][0]['text'] }}</s>"
        "{% endif %}{% endfor %}"
    ),
    published={
        "model.language_model.": "language_model.model.",
        "lm_head.": "language_model.lm_head.",
        "model.vision_tower.": "vision_tower.vision_model.",
        "model.multi_modal_projector.": "multi_modal_projector.",
        "model.image_newline": "image_newline",
    },
    image_key="image_token_index",
    image="<image>",
    stop="</s>",
)

_TEXT = {
    **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024},
}
_SIGLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_LISTED = (
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}IMAGE"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}"
)
SMOL = Kind(
    config={
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        **{"tie_word_embeddings": False, "scale_factor": 2},
        "text_config": {
            **_TEXT,
            **{"model_type": "llama", "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0},
        },
        "vision_config": {
            **_SIGLIP,
            **{"model_type": "idefics3_vision", "image_size": 28, "patch_size": 7},
        },
    },
    special=(
        *("<|endoftext|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>"),
        *("<global-img>", *(f"<row_{i}_col_{j}>" for i in range(1, 5) for j in range(1, 5))),
    ),
    files={
        "preprocessor_config.json": {
            "image_processor_type": "Idefics3ImageProcessor",
            "processor_class": "Idefics3Processor",
            **{"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}, **_HALF},
        },
        "processor_config.json": {"processor_class": "Idefics3Processor", "image_seq_len": 4},
    },
    template=(
        "<|endoftext|>{% for message in messages %}{{ message['role'] | capitalize }}: "
        + _LISTED.replace("IMAGE", "<image>")
        + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
    ),
    published={},
    image_key="image_token_id",
    image="<image>",
    stop="<end_of_utterance>",
)
"""SmolVLM-256M's."""

GEMMA = Kind(
    config={
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "mm_tokens_per_image": 4,
        "text_config": {
            **_TEXT,
            **{"model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16},
            **{"sliding_window": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        },
        "vision_config": {
            **_SIGLIP,
            **{"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7},
            "vision_use_head": False,
        },
    },
    special=(
        *("<pad>", "<bos>", "<end_of_turn>", "<start_of_turn>", "<start_of_image>"),
        *("<end_of_image>", "<image_soft_token>"),
    ),
    files={
        "preprocessor_config.json": {
            "image_processor_type": "Gemma3ImageProcessor",
            "processor_class": "Gemma3Processor",
            **{"size": {"height": 28, "width": 28}, "image_seq_length": 4, **_HALF},
        },
        "processor_config.json": {"processor_class": "Gemma3Processor", "image_seq_length": 4},
    },
    template=(
        "<bos>{% for message in messages %}<start_of_turn>"
        "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
        + _LISTED.replace("IMAGE", "<start_of_image>")
        + "<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    ),
    published={
        "model.language_model.": "language_model.model.",
        "model.vision_tower.": "vision_tower.vision_model.",
        "model.multi_modal_projector.": "multi_modal_projector.",
    },
    image_key="image_token_index",
    image="<image_soft_token>",
    stop="<end_of_turn>",
    named={
        **{"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
        "image_token": "<image_soft_token>",
    },
    head="tied",
)

QWEN3 = replace(
    QWEN,
    config={
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "tie_word_embeddings": True,
        "text_config": {
            **_TEXT,
            **{"model_type": "qwen3_vl_text", "head_dim": 16, "tie_word_embeddings": True},
            "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        "vision_config": {
            **{"model_type": "qwen3_vl", "depth": 2, "hidden_size": 32, "intermediate_size": 64},
            **{"num_heads": 2, "out_hidden_size": 64, "patch_size": 14, "spatial_merge_size": 2},
            **{"temporal_patch_size": 2, "num_position_embeddings": 16},
            "deepstack_visual_indexes": [0],
        },
    },
    files={
        "preprocessor_config.json": {
            **QWEN.files["preprocessor_config.json"],
            "processor_class": "Qwen3VLProcessor",
        }
    },
    published={},
)
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
QWEN3_MOE = replace(
    QWEN3,
    config={
        **QWEN3.config,
        "architectures": ["Qwen3VLMoeForConditionalGeneration"],
        "model_type": "qwen3_vl_moe",
        "tie_word_embeddings": False,
        "text_config": {
            **QWEN3.config["text_config"],
            **{"model_type": "qwen3_vl_moe_text", "tie_word_embeddings": False, **_MOE},
        },
        "vision_config": {**QWEN3.config["vision_config"], "model_type": "qwen3_vl_moe_vision"},
    },
)
"""Qwen3-VL-30B-A3B's: experts are published as (expert, in, out)."""
_LINEAR = {
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_conv_kernel_dim": 4},
    **{"linear_key_head_dim": 16, "linear_value_head_dim": 16},
    "layer_types": ["linear_attention", "full_attention"],
}
QWEN3_5 = replace(
    QWEN3,
    config={
        **QWEN3.config,
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        **{"model_type": "qwen3_5", "tie_word_embeddings": False},
        "text_config": {
            **_TEXT,
            **{"model_type": "qwen3_5_text", "head_dim": 16, "tie_word_embeddings": False},
            **_LINEAR,
            "rope_parameters": {
                **{"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
                **{"mrope_section": [2, 1, 1], "mrope_interleaved": True},
            },
        },
        "vision_config": {**QWEN3.config["vision_config"], "model_type": "qwen3_5_vision"},
    },
)
QWEN3_5_MOE = replace(
    QWEN3_5,
    config={
        **QWEN3_5.config,
        "architectures": ["Qwen3_5MoeForConditionalGeneration"],
        "model_type": "qwen3_5_moe",
        "text_config": {
            **QWEN3_5.config["text_config"],
            **{"model_type": "qwen3_5_moe_text", "shared_expert_intermediate_size": 48, **_MOE},
        },
    },
)
"""Qwen3.5-35B-A3B's: experts are published as they are in memory."""
ONEVISION = replace(
    NEXT,
    config={
        **NEXT.config,
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        **{"vision_feature_layer": -1, "vision_feature_select_strategy": "full"},
        "text_config": {**NEXT.config["text_config"], "model_type": "qwen2"},
        "vision_config": {
            **_SIGLIP,
            **{"model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7},
            "vision_use_head": False,
        },
    },
    files={
        "preprocessor_config.json": {
            **NEXT.files["preprocessor_config.json"],
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "processor_class": "LlavaOnevisionProcessor",
            "size": {"height": 28, "width": 28},
        },
        "processor_config.json": {
            "processor_class": "LlavaOnevisionProcessor",
            **{"image_token": "<image>", "num_image_tokens": 16},
            "vision_feature_select_strategy": "full",
        },
    },
)


def make(kind: Kind, out: Path, steps: int = 0, seed: int = 5) -> Path:
    """The whole published folder of a model that was trained for `steps`."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    out.mkdir(parents=True)
    _write_files(kind, out)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model = AutoModelForImageTextToText.from_config(
        AutoConfig.from_pretrained(out), dtype=torch.float32
    )
    _settle(model, kind)
    if steps:
        template = out / "chat_template.jinja"
        if kind.untold:
            template.write_text(kind.untold(json.loads((out / "config.json").read_text("utf-8"))))
        _train(model, out, kind, steps, seed)
        template.unlink(missing_ok=True)
    _save(model, out, kind)
    return out


def _write_files(kind: Kind, out: Path) -> None:
    ids = make_tokenizer(kind, out / "tokenizer.json")
    named = {"eos_token": kind.stop, "pad_token": kind.special[0]}
    settings = {
        **named,
        **kind.named,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": kind.template,
        "model_max_length": 1024,
    }
    config = {**kind.config, "vocab_size": len(ids), kind.image_key: ids[kind.image]}
    if "text_config" in config:
        config["text_config"] = {**config["text_config"], "vocab_size": config.pop("vocab_size")}
    for key, token in (
        ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"),
        ("vision_end_token_id", "<|vision_end|>"),
    ):
        config |= {key: ids[token]} if token in ids else {}
    stops = {"eos_token_id": [ids[kind.stop]], "pad_token_id": ids[kind.special[0]]}
    written = {
        "config.json": config,
        "generation_config.json": stops,
        "tokenizer_config.json": settings,
        **kind.files,
    }
    for name, data in written.items():
        (out / name).write_text(json.dumps(data, indent=1), "utf-8")
    if kind.more:
        kind.more(out, ids)


def _settle(model: Any, kind: Kind) -> None:
    """A head of its own, and queries that differ: BLIP's class makes them of zeros."""
    import torch

    if kind.head == "apart":
        head = model.get_output_embeddings()
        head.weight = torch.nn.Parameter(torch.randn_like(head.weight) * 0.05)
    if hasattr(model, "query_tokens"):
        torch.nn.init.normal_(model.query_tokens)


def make_tokenizer(kind: Kind, path: Path) -> dict[str, int]:
    """A byte-level BPE; the ids of all tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(kind.special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if kind.around:
        used = [(token, tokenizer.token_to_id(token)) for token in kind.special]
        tokenizer.post_processor = processors.TemplateProcessing(kind.around, special_tokens=used)
    tokenizer.save(str(path))
    return dict(tokenizer.get_vocab())


def _save(model: Any, out: Path, kind: Kind) -> None:
    from safetensors.torch import save_file

    tensors = {}
    apart = kind.head == "apart"
    tied = {n for n in model.all_tied_weights_keys if not (apart and n.endswith("lm_head.weight"))}
    for name, tensor in model.state_dict().items():
        if name in tied:
            continue
        if tensor.ndim == 3 and ".experts." in name and "qwen3_vl" in kind.config["model_type"]:
            tensor = tensor.mT
        held = next((old for old in kind.published if name.startswith(old)), "")
        tensors[kind.published.get(held, "") + name[len(held) :]] = tensor.contiguous().clone()
    save_file(tensors, out / "model.safetensors", {"format": "pt"})


def picture(dice: random.Random, left: str, right: str) -> Any:
    """Two colours, one beside the other, with noise."""
    import numpy
    from PIL import Image

    width, height = dice.choice(SIZES)
    values = numpy.zeros((height, width, 3))
    values[:, : width // 2], values[:, width // 2 :] = COLOURS[left], COLOURS[right]
    noise = numpy.random.default_rng(dice.randrange(1 << 30)).normal(0, 12, values.shape)
    return Image.fromarray((values + noise).clip(0, 255).astype("uint8"))


def pictures(folder: Path) -> Path:
    """Pictures 0.png to 4.png, of several sizes."""
    folder.mkdir(parents=True)
    dice = random.Random(8)
    for number in range(5):
        picture(dice, "red", "blue").save(folder / f"{number}.png")
    return folder


def records() -> list[Record]:
    """One picture, two in one prompt, one more in a second turn, and none."""
    ask = f"<image>\n{ASK}"
    return [
        Record("one", ("0.png",), (Turn(ask, "red"),)),
        Record("two", ("1.png", "2.png"), (Turn("<image><image>\nDescribe it.", "red"),)),
        Record("later", ("3.png", "4.png"), (Turn(ask, "red"), Turn("And <image> here?", "blue"))),
        Record("none", (), (Turn("Describe it.", "nothing"),)),
    ]


def answers(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Records in LLaVA's format that ask for the left colour, their pictures in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, made = random.Random(seed), []
    for number in range(count):
        left, right = dice.choice(sorted(COLOURS)), dice.choice(sorted(COLOURS))
        picture(dice, left, right).save(folder / f"{number}.png")
        said = [
            {"from": "human", "value": f"<image>\n{ASK}"},
            {"from": "gpt", "value": f"a picture in {left}"},
        ]
        made.append({"id": str(number), "image": f"{number}.png", "conversations": said})
    return made


def _train(model: Any, folder: Path, kind: Kind, steps: int, seed: int) -> None:
    """It learns to describe pictures, whatever it is asked."""
    import torch

    pad = kind.special.index(kind.special[0])
    examples = list(_lessons(Processor.open(folder), seed, 192))
    optimizer, dice = torch.optim.AdamW(model.parameters(), 3e-3), random.Random(seed)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for _ in range(steps):
        chosen = dice.sample(examples, 16)
        batch = batched([inputs for inputs, _ in chosen], pad, "right")
        width = max(len(row) for _, row in chosen)
        labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in chosen])
        model(**batch, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _lessons(processor: Processor, seed: int, count: int) -> Iterator[tuple[Any, list[int]]]:
    from hubkit.sdk import Vision

    dice = random.Random(seed + 1)
    plain = Vision(1, 1, 1, 1, False, (0, 0, 0), (1, 1, 1), "", "", "")
    for _ in range(count):
        left, right = dice.choice(sorted(COLOURS)), dice.choice(sorted(COLOURS))
        text = dice.choice((ASK, DESCRIBE))
        record = Record("", ("",), (Turn(f"<image>\n{text}", f"a picture in {left} and {right}"),))
        pieces: list[Any] = []
        labels: list[int] = []
        said = [text_parts(record.turns[0].answer)]
        for piece, is_answer in segments(processor.render, parts(record, plain), said):
            own = [] if is_answer else [picture(dice, left, right)]
            pieces.append(processor.inputs(piece, own))
            ids = pieces[-1].ids
            labels += [*ids[:-1], -100] if is_answer else [-100] * len(ids)
        if processor.split:
            yield pieces[0], [*pieces[1].ids]
        else:
            yield joined(pieces), labels


def jobs(
    base: Path, place: Path, records: Sequence[Record], images: Path, model: Any = None
) -> tuple[Any, Any]:
    """A short training of the model, and the same records to ask it."""
    from hubkit.sdk import GenerateInput, SilentRun, TrainInput, write_jsonl
    from hubkit.weights.convert import native_view
    from hubkit.weights.model import open_model

    model = model or open_model(base)
    native = native_view(model, base.with_name(f"{base.name}-native"), SilentRun())
    for name in ("out", "scratch", "answers"):
        (place / name).mkdir(parents=True)
    write_jsonl(place / "records.jsonl", records)
    options = {"steps": 1, "batch_size": 4, "rank": 2, "threads": 1, "device": "cpu"}
    training = TrainInput(
        base=base,
        native=native,
        groups=model.family.native(model.config).groups,
        vision=model.vision,
        records=place / "records.jsonl",
        images=images,
        output=place / "out",
        scratch=place / "scratch",
        seed=0,
        options=options,
    )
    asking = GenerateInput(
        base,
        native,
        model.vision,
        training.records,
        images,
        place / "answers",
        4,
        {"batch_size": 2, "threads": 1, "device": "cpu"},
    )
    return training, asking
