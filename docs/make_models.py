"""Writes the table of families into docs/models.md and docs/zh/models.md from what the families say
of themselves (`support`); a test checks that it is up to date."""

from __future__ import annotations

from pathlib import Path

from hubkit.registry.plugins import plugins
from hubkit.sdk import Support
from hubkit.sdk.install import DISTRIBUTION

HERE = Path(__file__).parent
PAGES = {"en": HERE / "models.md", "zh": HERE / "zh" / "models.md"}
BEGIN, END = "<!-- families: written by make docs -->\n", "<!-- end of families -->\n"
HEADS = {
    "en": ("Family", "Models", "Train", "Answer", "Layouts", "Proved"),
    "zh": ("家族", "模型", "训练", "回答", "格式", "已验证"),
}
LAYOUTS = {
    "en": {"official": "official", "hf": "transformers"},
    "zh": {"official": "官方", "hf": "transformers"},
}
PROVED = {
    "en": {
        "check": "checked and published",
        "merge": "merge",
        "step": "training step",
        "release": "whole release",
        "gpu": "on a GPU",
    },
    "zh": {
        "check": "检查与发布",
        "merge": "合并",
        "step": "训练一步",
        "release": "完整发布",
        "gpu": "在 GPU 上",
    },
}


def pages() -> dict[Path, str]:
    """Both pages with their tables, by path."""
    return {path: _page(path.read_text("utf-8"), language) for language, path in PAGES.items()}


def _page(text: str, language: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + _table(language) + "\n" + END + after


def _table(language: str) -> str:
    own = {row.name for row in plugins().rows() if row.distribution == DISTRIBUTION}
    heads = HEADS[language]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, family in plugins().of("family").items():
        if name in own:
            lines.append(f"| `{name}` | {' | '.join(_cells(family.support, language))} |")
    return "\n".join(lines) + "\n"


def _cells(support: Support, language: str) -> tuple[str, ...]:
    comma = ", " if language == "en" else "、"
    return (
        support.models.get(language, support.models["en"]),
        comma.join(f"`{one}`" for one in support.trainers) or "—",
        comma.join(f"`{one}`" for one in support.engines) or "—",
        comma.join(LAYOUTS[language][one] for one in support.layouts),
        comma.join(PROVED[language][one] for one in support.proved),
    )


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
