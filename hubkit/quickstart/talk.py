"""What the tiny base model is taught to say about a digit: one or two turns, in a few phrasings."""

from __future__ import annotations

import random

from ..sdk import IMAGE, Turn

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
READING = (
    "Which digit is this?",
    "What digit is this?",
    "Which digit do you see?",
    "Which number is shown in the picture?",
    "What is in this picture?",
    "What is in this image?",
    "Read the digit.",
    "Describe this image.",
)
PARITY = ("Is it even or odd?", "Is it odd or even?", "Even or odd?", "Is this digit even or odd?")
SIZE = ("Is it greater than four?", "Is it more than four?")
SPELLING = ("Spell it.", "Write it as a word.", "How is it spelled?", "What is it called?")
AGAIN = ("Which digit was it?", "Are you sure?", "Say it again.", "And again?")


def corpus() -> tuple[str, ...]:
    """All the text, for the tokenizer."""
    return (
        *READING,
        *PARITY,
        *SIZE,
        *SPELLING,
        *AGAIN,
        *WORDS,
        "even",
        "odd",
        "yes",
        "no",
        "user",
        "assistant",
        "system",
    )


def _follow_up(digit: int, dice: random.Random) -> Turn:
    kind = dice.randrange(8)
    if kind < 4:
        return Turn(dice.choice(PARITY), "odd" if digit % 2 else "even")
    if kind == 4:
        return Turn(dice.choice(SIZE), "yes" if digit > 4 else "no")
    if kind < 7:
        return Turn(dice.choice(SPELLING), WORDS[digit])
    return Turn(dice.choice(AGAIN), str(digit))


def reading(digit: int, dice: random.Random) -> Turn:
    """The picture before the question, now and then after it."""
    question = dice.choice(READING)
    return Turn(
        f"{question}\n{IMAGE}" if dice.random() < 0.1 else f"{IMAGE}\n{question}", str(digit)
    )


def conversation(digit: int, dice: random.Random) -> tuple[Turn, ...]:
    """One turn half the time, else two; one in ten begins with something else than reading."""
    first = reading(digit, dice)
    if dice.random() < 0.1:
        other = _follow_up(digit, dice)
        first = Turn(f"{IMAGE}\n{other.prompt}", other.answer)
    return (first,) if dice.random() < 0.5 else (first, _follow_up(digit, dice))
