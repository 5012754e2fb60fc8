"""Levenshtein's distance by bit vectors (Myers 1999, in Hyyrö's 2003 form for whole strings): one
step a character."""

from __future__ import annotations


def edit_distance(one: str, other: str) -> int:
    """The least number of characters to insert, delete or replace that makes `other` of `one`."""
    if not one or not other:
        return len(one) + len(other)
    places: dict[str, int] = {}
    for at, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << at
    full = (1 << len(one)) - 1
    last = 1 << (len(one) - 1)
    more, less, distance = (
        full,
        0,
        len(one),
    )  # bits where the column's value grows or falls by one from the row above
    for character in other:
        equal = places.get(character, 0)
        vertical = equal | less
        horizontal = (((equal & more) + more) ^ more) | equal
        up = less | ~(horizontal | more) & full
        down = more & horizontal
        distance += bool(up & last) - bool(down & last)
        up = (up << 1 | 1) & full
        down = (down << 1) & full
        more = down | ~(vertical | up) & full
        less = up & vertical
    return distance
