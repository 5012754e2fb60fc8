"""What stands in a record, changes what is learnt from it, and is not understood here: the one
list, for all dataset adapters.

`Place.check_fields`, `check_message` and `check_marks` (hubkit.sdk.rows) refuse it by name. Names
are from LLaMA-Factory, ms-swift, axolotl, TRL, xtuner, OpenAI's and Qwen's formats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from .records import IMAGE

MEDIA = "a video or sound, which hubkit does not train on"
PICTURE = "a picture that is not read"
REGION = "a place in a picture, which hubkit does not put into the text"
MASK = "a mask or a weight, and hubkit learns every answer in full"
PREFERENCE = "an answer to prefer or to avoid, and hubkit learns each answer as it stands"
CONTEXT = "a part of the conversation that is not read"
SAID = "a part of the question that is not read"
TOOLS = "tools, which hubkit does not put into the prompt"
SIZE = "sets the size of pictures, which the model's own settings decide"

_NAMES = {
    MEDIA: "frame frames wav mp3 mp4 gif point_cloud point_clouds pcd",
    PICTURE: "image images img imgs picture pictures photo photos pixel_values depth depth_map "
    "depth_maps",
    REGION: "objects bbox bboxes bbox_2d bboxes_2d bbox2d box boxes box_2d boxes_seq ref_objects "
    "refs ref_exps region regions point_2d segmentation segmentations "
    "polygon polygons keypoints",
    MASK: "loss loss_mask loss_masks loss_weight loss_weights loss_scale mask masks masked weight "
    "weights sample_weight sample_weights turn_weights token_weights train trainable training "
    "train_mask train_on_turn train_detail training_detail mask_history turn_mask turn_masks "
    "assistant_mask assistant_masks attention_mask calculate_loss compute_loss no_loss "
    "ignore ignore_loss skip_loss",
    PREFERENCE: "margin kto_tag kto_label preference preferences reward rewards "
    "negative negatives negative_response completions",
    CONTEXT: "conversation conversations messages system system_prompt system_message "
    "system_instruction system_instructions developer history documents chat_template "
    "chat_template_kwargs reasoning_content thinking thought thoughts",
    SAID: "choices options context contexts passage passages hint lecture background knowledge",
    TOOLS: "tool tools tool_call tool_calls tool_call_id tool_choice tool_response tool_responses "
    "function functions function_call function_calls",
    SIZE: "min_pixels max_pixels resized_height resized_width image_size_limit",
}
FIELDS = {name: why for why, names in _NAMES.items() for name in names.split()}
_PATTERNS = (
    (
        MEDIA,
        re.compile(
            r"(input_|source_)?(video|audio|speech|sound|voice)s?(_(path|file|url|byte|list|token"
            r"|feature)s?)?"
        ),
    ),
    (PICTURE, re.compile(r"(image|img|picture|photo)s?_?(\d+|[ab])")),
    (
        PREFERENCE,
        re.compile(r"(\w+_)?(chosen|rejected|preferred|dispreferred|better|worse)(_\w+)?"),
    ),
)
IN_TURNS = frozenset(name for name, why in FIELDS.items() if why == SAID)
"""What the prompts of a conversation have as text."""
_OF_A_PICTURE = re.compile(r"(\w+_)?(image|img|picture|photo|mask)s?(_\w+)?")
_PICTURE_FILE = re.compile(r".+\.(png|jpe?g|webp|gif|bmp|tiff?|avif|hei[cf]|npy)", re.IGNORECASE)
_MEDIA_FILE = re.compile(
    r".+\.(mp4|m4v|avi|mov|mkv|webm|wav|mp3|flac|ogg|m4a|aac|pcd|ply)", re.IGNORECASE
)
_PATHS = re.compile(r"(image|img|picture)s?_(path|file|name|url|id|list)s?|file_names?|file_paths?")
"""Of a picture, when the record has no other."""
_INVERTED = (
    *("mask", "masks", "masked", "no_loss", "mask_history"),
    *("ignore", "ignore_loss", "skip_loss"),
)
"""Of MASK: what is true of an answer that is not learnt."""
_AS_IT_IS = {True: ("true", "yes", "1", "1.0"), False: ("false", "no", "0", "0.0")}
_WORD = r"(?:[ _:#-]?\d+|[ _-]\w+|s|es|here|pad|token|placeholder)?"
_MARK = re.compile(
    rf"</?[|｜]?(?:(?:image|img|video|audio|speech|sound|bbox|region|seg){_WORD}|vision[ _-]\w+"
    r"|ref[ _-]object\w*|(?:box|quad|object_ref)_(?:start|end)|im_patch|point[ _-]cloud"
    r"|(?:begin|start|end)[ _-]of[ _-](?:image|video|audio))[|｜]?>"
    r"|<(?:im|vi|vid)_(?:start|end)>",
    re.IGNORECASE,
)


def changes_meaning(
    item: Mapping[str, Any], read: Collection[str], *, learnt: bool = True
) -> Iterator[tuple[str, str]]:
    """(name, why) of the fields of `item` that are not among `read`, say something, and change what
    is learnt. A record or an answer is `learnt`, a prompt is not: a mask that says just that is
    passed over."""
    for name, value in item.items():
        if name in read:
            continue
        if value is False and _plain(str(name)) == "label":  # of KTO: an answer to avoid
            yield str(name), PREFERENCE
        if not (why := reason(str(name))):
            continue
        if why != MASK:
            if says_something(value):
                yield str(name), why
        elif value not in (None, "", [], {}):
            wanted = learnt != (_plain(str(name)) in _INVERTED)
            if str(value).casefold() not in _AS_IT_IS[wanted]:
                yield str(name), why


@lru_cache(maxsize=4096)
def reason(name: str) -> str:
    """Why a field of that name may not be passed over; empty when it may."""
    plain = _plain(name)
    if why := FIELDS.get(plain):
        return why
    return next((why for why, pattern in _PATTERNS if pattern.fullmatch(plain)), "")


@lru_cache(maxsize=4096)
def names_a_picture(name: str) -> bool:
    """Whether a field of that name may say where a picture is; `reason` does not tell, since beside
    a picture that is read it is no more than where that one came from."""
    return _PATHS.fullmatch(_plain(name)) is not None


def other_file(name: str, value: Any, images: Sequence[str]) -> str:
    """Why a field that is not read, and that `reason` does not know, may not be passed over: it
    names a picture other than `images`, or, where there is none, a video or sound. Empty when it
    may."""
    if not images:
        return MEDIA if any(map(_MEDIA_FILE.fullmatch, _texts(value))) else ""
    if names_a_picture(name) or not _is_of_a_picture(name):
        return ""
    own = {image.rpartition("/")[2] for image in images}
    others = (path for path in _texts(value) if path.rpartition("/")[2] not in own)
    return PICTURE if any(map(_PICTURE_FILE.fullmatch, others)) else ""


@lru_cache(maxsize=4096)
def _is_of_a_picture(name: str) -> bool:
    return _OF_A_PICTURE.fullmatch(_plain(name)) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def says_something(value: Any) -> bool:
    """False of null, false, zero, NaN, blank text, and of what holds nothing else."""
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    if isinstance(value, Mapping):
        return any(map(says_something, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(says_something, value))
    return bool(value) and value == value


def foreign_mark(text: str) -> str:
    """The first mark in `text` for something that hubkit does not put there; empty when there is
    none. `<image>`, written so, is not foreign."""
    return next((found[0] for found in _MARK.finditer(text) if found[0] != IMAGE), "")


def _plain(name: str) -> str:
    """`lossMask`, `Loss-Mask` and `loss mask` as `loss_mask`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\s.-]+", "_", snake.strip()).casefold()
