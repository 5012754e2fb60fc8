"""The files that transformers' InternVLProcessor is made from (from 4.52; checked with 5.23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import Vision

_PRELUDE = """\
{%- set plain = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- set text = namespace(value='') -%}
  {%- if message['content'] is string -%}
    {%- set text.value = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'image' -%}
        {%- set text.value = text.value + 'CONTEXT\\n' -%}
      {%- elif part['type'] == 'text' -%}
        {%- set text.value = text.value + part['text'] -%}
      {%- else -%}
        {{- raise_exception('a message holds text and images, not ' + part['type']) -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set plain.messages = plain.messages + [{'role': message['role'], 'content': text.value}] -%}
{%- endfor -%}
{%- set messages = plain.messages %}"""

_VIDEO = ("<video>", "<quad>")
"""`<quad>` stands in every InternVL vocabulary and in no prompt of theirs, which mark places by
`<ref>` and `<box>`."""


def files(vision: Vision) -> dict[str, Mapping[str, Any]]:
    """preprocessor_config.json is the image processor's, processor_config.json that of the
    whole."""
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "processor_class": "InternVLProcessor",
        "size": {"height": vision.tile, "width": vision.tile},
        "crop_to_patches": vision.max_tiles > 1,
        "min_patches": vision.min_tiles,
        "max_patches": vision.max_tiles,
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(vision.mean),
        "image_std": list(vision.std),
    }
    return {
        "preprocessor_config.json": image,
        "processor_config.json": {
            "processor_class": "InternVLProcessor",
            "image_seq_length": vision.tokens_per_tile,
        },
    }


def notes(vision: Vision) -> tuple[str, ...]:
    if vision.max_tiles > 1 and not vision.thumbnail:
        return (
            "transformers' processor adds a thumbnail to a picture's tiles; this model was made "
            "without (use_thumbnail)",
        )
    return ()


def tokenizer(vision: Vision, tokens: Mapping[str, int] | None) -> dict[str, Any]:
    """What the processor asks its tokenizer for.

    The native processor wants a token for videos. Official models have none; one of its own would
    be numbered behind the vocabulary, where there is no embedding, so that an unused token of
    theirs takes the part.
    """
    known = tokens or {}
    return {
        "processor_class": "InternVLProcessor",
        "start_image_token": vision.start,
        "context_image_token": vision.context,
        "end_image_token": vision.end,
        "video_token": next((token for token in _VIDEO if token in known), _VIDEO[0]),
    }


def chat_prelude(vision: Vision) -> str:
    """A picture becomes the token that the processor repeats for each position, on a line of its
    own."""
    return _PRELUDE.replace("CONTEXT", vision.context)
