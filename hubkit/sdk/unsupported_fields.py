"""What stands in a record, changes what is learnt from it, and is not understood here: the one
list, for all dataset adapters.

`Place.check_fields`, `check_message` and `check_marks` (hubkit.sdk.rows) refuse it by name. Names
are from LLaMA-Factory, ms-swift, axolotl, TRL, xtuner, OpenAI's and Qwen's formats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .records import IMAGE

MEDIA = "a video or sound, which hubkit does not train on"
PICTURE = "a picture that is not read"
REGION = "a place in a picture, which hubkit does not put into the text"
MASK = "a mask or a weight, and hubkit learns every answer in full"
PREFERENCE = "an answer to prefer or to avoid, and hubkit learns each answer as it stands"
CONTEXT = "a part of the conversation that is not read"
TOOLS = "tools, which hubkit does not put into the prompt"
SIZE = "sets the size of pictures, which the model's own settings decide"

_NAMES = {
    MEDIA: "frame frames wav mp3 mp4 point_cloud point_clouds pcd",
    PICTURE: "image images img imgs picture pictures pixel_values",
    REGION: "objects bbox bboxes bbox_2d box boxes ref_objects segmentation segmentations polygon "
    "polygons keypoints",
    MASK: "loss loss_mask loss_masks loss_weight loss_weights loss_scale mask masks masked weight "
    "weights sample_weight sample_weights train trainable training train_mask train_on_turn "
    "train_detail training_detail mask_history no_loss",
    PREFERENCE: "margin kto_tag kto_label preference preferences reward rewards negative_response",
    CONTEXT: "conversation conversations messages system system_prompt system_message history "
    "documents chat_template chat_template_kwargs reasoning_content thinking choices options",
    TOOLS: "tool tools tool_call tool_calls tool_call_id tool_choice tool_response tool_responses "
    "function functions function_call function_calls",
    SIZE: "min_pixels max_pixels resized_height resized_width image_size_limit",
}
FIELDS = {name: why for why, names in _NAMES.items() for name in names.split()}
_PATTERNS = (
    (MEDIA, re.compile(r"(video|audio|speech|sound|voice)s?(_(path|file|url|byte|list|token)s?)?")),
    (PICTURE, re.compile(r"(image|img|picture)s?_?\d+")),
    (PREFERENCE, re.compile(r"(chosen|rejected|preferred|dispreferred)(_\w+)?")),
)
_PATHS = re.compile(r"(image|img|picture)s?_(path|file|name|url|id|list)s?|file_names?|file_paths?")
"""Of a picture, when the record has no other."""
_INVERTED = ("mask", "masks", "masked", "no_loss", "mask_history")
"""Of MASK: what is true of an answer that is not learnt."""
_AS_IT_IS = {True: ("true", "yes", "1", "1.0"), False: ("false", "no", "0", "0.0")}
_WORD = r"(?:[ _-]?\d+|[ _-]\w+)?"
_MARK = re.compile(
    rf"</?\|?(?:(?:image|img|video|audio|speech|sound|bbox){_WORD}|vision[ _-]\w+"
    r"|ref[ _-]object\w*|im_patch|(?:start|end)[ _-]of[ _-](?:image|video|audio))\|?>"
    r"|<(?:im|vid)_(?:start|end)>",
    re.IGNORECASE,
)


def changes_meaning(
    item: Mapping[str, Any], read: Collection[str], *, learnt: bool = True
) -> Iterator[tuple[str, str]]:
    """(name, why) of the fields of `item` that are not among `read`, say something, and change what
    is learnt. A record or an answer is `learnt`, a prompt is not: a mask that says just that is
    passed over."""
    for name, value in item.items():
        if name in read or not (why := reason(str(name))):
            continue
        if why != MASK:
            if says_something(value):
                yield str(name), why
        elif value not in (None, "", [], {}):
            wanted = learnt != (_plain(str(name)) in _INVERTED)
            if str(value).casefold() not in _AS_IT_IS[wanted]:
                yield str(name), why


def reason(name: str) -> str:
    """Why a field of that name may not be passed over; empty when it may."""
    plain = _plain(name)
    if why := FIELDS.get(plain):
        return why
    return next((why for why, pattern in _PATTERNS if pattern.fullmatch(plain)), "")


def names_a_picture(name: str) -> bool:
    """Whether a field of that name may say where a picture is; `reason` does not tell, since beside
    a picture that is read it is no more than where that one came from."""
    return _PATHS.fullmatch(_plain(name)) is not None


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
