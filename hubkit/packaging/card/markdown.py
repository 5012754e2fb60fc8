"""Text from datasets, models and spec files, made harmless for Markdown: it shows as it reads and
never becomes markup."""

from __future__ import annotations

import re

from hubkit.sdk.text import visible

_PUNCTUATION = re.compile(r"([\\`*\[\]#|~$!])")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LINE_START = re.compile(r"^(\s*)([-+=])")
_LINK = re.compile(r"(?i)(?:(?<=http)|(?<=https)|(?<=ftp)):(?=//)|(?<=www)\.")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_PLAIN_CODE = re.compile(r"[\w./:@+=,() -]+")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def _escape(line: str) -> str:
    line = _PUNCTUATION.sub(r"\\\1", line.translate(_ENTITIES))
    line = _EDGE_UNDERSCORE.sub(r"\\_", line)
    line = _LINE_START.sub(r"\1\\\2", line)
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", line)


def text(value: object, limit: int = 400) -> str:
    """For running text and headings: one line."""
    return _escape(" ".join(visible(value, limit).split()))


def cell(value: object, limit: int = 400) -> str:
    """For a table cell: line breaks become `<br>`; nothing at all becomes an em dash, so that the
    cell is seen."""
    lines = [line.strip() for line in visible(value, limit).split("\n")]
    return "<br>".join(_escape(line) for line in lines) or "—"


def code(value: object) -> str:
    """Code style when the text has nothing that could end it or the cell it stands in."""
    plain = visible(value, 200)
    return f"`{plain}`" if _PLAIN_CODE.fullmatch(plain) else cell(plain)


def block(value: object) -> str:
    """A fenced block whose fence is longer than any run of backticks inside."""
    body = visible(value, 4000)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def line(value: object) -> str:
    """A line within a fenced block."""
    return " ".join(visible(value, 1000).split())


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def in_points(difference: float) -> str:
    """The end of an interval in percentage points; a sign only when it is negative."""
    return f"{100 * difference:.1f}".replace("-", "−")


def p_value(value: float) -> str:
    """`p = 0.034`; what is smaller than anybody needs is only said to be so."""
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"


def thousands(number: int) -> str:
    return f"{number:,}"


def size(count: int) -> str:
    """Bytes in decimal units, as hubs show them."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if round(value, 2) < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.2f} {unit}"


def setting(value: str | int | float | bool) -> str:
    """The value of a training setting: `true`, `3e-05`, `16`, or any text."""
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(repr(value) if isinstance(value, float) else value)


FILTERS = {
    f.__name__: f
    for f in (
        text,
        cell,
        code,
        block,
        line,
        percent,
        points,
        in_points,
        p_value,
        thousands,
        size,
        setting,
    )
}
