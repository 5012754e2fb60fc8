# Copyright the hubkit authors. Licensed under the Apache License, Version 2.0.
"""The prompt, character for character what the tokenizer's chat template gives."""

IMG_START, IMG_CONTEXT, IMG_END = "<img>", "<IMG_CONTEXT>", "</img>"
STOP = "<|im_end|>"


def render(question, history=()):
    """`history` is a list of (question, answer)."""
    turns = [(role, text) for pair in history for role, text in zip(("user", "assistant"), pair)]
    turns.append(("user", question))
    return "<s>" + "".join(f"<|im_start|>{role}\n{text}{STOP}\n" for role, text in turns) + "<|im_start|>assistant\n"


def place_images(text, tiles, tokens_per_tile):
    """Replaces each `<image>` by the positions of its picture's tiles; pictures without a mark go before the text."""
    text = "<image>\n" * (len(tiles) - text.count("<image>")) + text
    for count in tiles:
        text = text.replace("<image>", IMG_START + IMG_CONTEXT * (tokens_per_tile * count) + IMG_END, 1)
    return text
