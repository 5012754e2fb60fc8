"""The card's files: content, escaping, determinism, and what an error leaves behind."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from jinja2 import Environment, nodes
from testing.cards import sample

from hubkit.evaluation.results import Outcomes
from hubkit.packaging.card import (
    CardInput,
    Exchange,
    LossPoint,
    Smoke,
    render_card,
    write_card,
)
from hubkit.packaging.card.markdown import FILTERS
from hubkit.resources import templates
from hubkit.sdk import CardFacts, DataError, ReleaseFile, UsageError

ALL = (
    ".eval_results/handwritten-digits.yaml",
    "README.md",
    "README.zh-CN.md",
    "assets/loss.png",
    "assets/samples/01.png",
    "assets/samples/02.png",
    "assets/scores.png",
)


def _rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below `heading`, split where GitHub's Markdown splits them."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_full_card_has_every_part(full: CardInput, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    assert write_card(folder, full) == ALL
    assert sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    ) == list(ALL)
    page = (folder / "README.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert headings == [
        "Before and after",
        "Intended use and limits",
        "How to use it",
        "Samples",
        "Training",
        "Smoke test",
        "Files, and how to verify them",
        "Lineage",
        "License and terms",
        "Author and citation",
        "How it was made",
    ]
    expected = [
        "exact_match",
        "400",
        "30.5% (122 of 400)<br>26.0% to 35.0%",
        "**96.0%** (384 of 400)<br>94.0% to 97.8%",
        "+65.5<br>61.0 to 70.0",
    ]
    assert _rows(page, "Before and after")[2] == expected
    assert "went from 30.5% to **96.0%**: +65.5 points, 95% CI 61.0 to 70.0." in page
    assert (
        "The improvement in exact_match is significant by McNemar's exact test (p < 0.001)." in page
    )
    assert "counts for exact_match when it equals the reference" in page
    assert _rows(page, "Samples")[2][1:] == ["Which digit is this?", "3", "8 ✗", "3 ✓"]
    assert ["learning_rate", "`3e-05`"] in _rows(page, "Training")
    assert 'from_pretrained("InternVL2-Digits")' in page and 'print({"a": 1})' in page
    assert "\nhf download example/InternVL2-Digits --local-dir InternVL2-Digits\n" in page
    assert "drawn by chance in proportion to how all came out" in page
    assert "higher than the base's on 262, lower on 0, the same on 138." in page
    assert "Ada Lovelace (ada@example.org) made this release" in page
    assert "@misc{InternVL2-Digits,\n  title = {InternVL2-Digits}," in page
    assert "Reads handwritten digits." in page and "识别" not in page
    assert f"{'ab' * 32}  model.safetensors\n" in page
    assert "**apache-2.0** (read from: base model file LICENSE)" in page
    assert "release `v1.2.0` of 2026-01-31" in page
    links = re.findall(r'(?:\]\(|src=")([^)"]+)[)"]', page)
    pages = {link for link in links if link.startswith("https://")}
    assert pages == {
        "https://huggingface.co/example/InternVL2-Tiny",
        "https://huggingface.co/datasets/example/handwritten-digits",
    }
    for link in set(links) - pages:
        assert (folder / link).is_file(), link


def test_chinese_card_has_the_same_facts_and_links_back(full: CardInput) -> None:
    files = render_card(full)
    page = files["README.zh-CN.md"].decode()
    assert page.startswith("# InternVL2-Digits\n\n[English](README.md) | **简体中文**\n")
    assert "识别手写数字。" in page and "1.3 M 参数" in page and "Reads" not in page
    assert "[简体中文](README.zh-CN.md)" in files["README.md"].decode()
    assert _rows(page, "微调前后对比")[2] == [
        "exact_match",
        "400",
        "30.5%（122/400）<br>26.0% 至 35.0%",
        "**96.0%**（384/400）<br>94.0% 至 97.8%",
        "+65.5<br>61.0 至 70.0",
    ]
    assert "基座模型文件 LICENSE" in page
    english = files["README.md"].decode()
    assert len(re.findall("^## ", page, re.M)) == len(re.findall("^## ", english, re.M)) == 11
    assert page.count("\n|") == english.count("\n|")


def test_minimal_card_leaves_out_what_is_not_known(minimal: CardInput, tmp_path: Path) -> None:
    assert write_card(tmp_path, minimal) == ("README.md", "README.zh-CN.md")
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    headings = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert headings == [
        "Intended use and limits",
        "How to use it",
        "License and terms",
        "How it was made",
    ]
    assert "trained, merged" not in page
    assert "\n\n\n" not in page and not re.search(r"None|\{\{|\{%", page)


def test_two_renderings_are_byte_identical(full: CardInput, tmp_path: Path) -> None:
    assert render_card(full) == render_card(full)
    write_card(tmp_path / "one", full)
    write_card(tmp_path / "two", full)
    for path in ALL:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_order_of_mappings_does_not_matter(full: CardInput) -> None:
    assert full.training is not None
    turned = dataclasses.replace(
        full.training, settings=dict(reversed(full.training.settings.items()))
    )
    assert render_card(dataclasses.replace(full, training=turned)) == render_card(full)


def test_no_path_of_this_machine_is_in_any_file(full: CardInput, picture: Path) -> None:
    for content in render_card(full).values():
        for leak in (str(picture.parent), "/home/", "some picture", str(Path.home())):
            assert leak.encode() not in content


HOSTILE = (
    "a|b",
    "<script>alert(1)</script>",
    "line\nbreak",
    "```\n# heading",
    "![x](http://e.example/p.png)",
    "\u202egnp.exe",
    "<!-- ",
    "\\|",
    "",
    "$$x$$",
)


@pytest.mark.parametrize("answer", HOSTILE)
def test_answers_of_a_model_are_text_and_nothing_else(
    minimal: CardInput, picture: Path, answer: str
) -> None:
    facts = dataclasses.replace(
        minimal,
        summary={"": answer},
        samples=(sample((picture,), (answer, answer, answer, answer, True, False)),),
        outcomes=Outcomes(1, 0, 0),
        smoke=Smoke("transformers", (Exchange(answer, answer),), prompt=answer),
    )
    page = render_card(facts)["README.md"].decode()
    rows = _rows(page, "Samples")
    assert len(rows) == 3 and {len(row) for row in rows} == {5}
    assert len(_rows(page, "Smoke test")) == 3
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", page)
    outside = outside.replace("](https://huggingface.co/OpenGVLab/InternVL2-2B)", "")
    assert (
        "<script" not in outside
        and "<!--" not in outside
        and "](http" not in outside.replace(r"\]", "")
    )
    assert "\u202e" not in page
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [
        "# InternVL2-2B-Least"
    ]


def test_weights_names_that_could_break_the_shell_are_refused(full: CardInput) -> None:
    for path in ("../x", "/etc/passwd", "a\nEND\nrm x", "a b"):
        broken = dataclasses.replace(full, weights=(ReleaseFile(path, 1, "0" * 64, True),))
        with pytest.raises(UsageError, match="not a plain relative path"):
            render_card(broken)


def test_unreadable_picture_is_named_and_nothing_is_written(
    full: CardInput, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    folder = tmp_path / "release"
    folder.mkdir()
    facts = dataclasses.replace(
        full, samples=(*full.samples, sample((bad,), ("q", "r", None, "a", None, None)))
    )
    with pytest.raises(DataError, match=r"bad\.png: not a readable picture"):
        write_card(folder, facts)
    assert list(folder.iterdir()) == []


def test_pictures_of_an_earlier_card_go_and_other_files_stay(
    full: CardInput, minimal: CardInput, tmp_path: Path
) -> None:
    write_card(tmp_path, full)
    (tmp_path / "assets/samples/mine.png").write_bytes(b"mine")
    write_card(tmp_path, dataclasses.replace(full, samples=full.samples[:1]))
    assert sorted(p.name for p in (tmp_path / "assets/samples").iterdir()) == ["01.png", "mine.png"]


def test_a_linked_readme_is_replaced_and_its_source_kept(
    minimal: CardInput, tmp_path: Path
) -> None:
    source, folder = tmp_path / "base.md", tmp_path / "release"
    folder.mkdir()
    source.write_text("the base's card")
    (folder / "README.md").hardlink_to(source)
    write_card(folder, minimal)
    assert source.read_text() == "the base's card"
    assert (folder / "README.md").stat().st_nlink == 1


def test_a_link_in_place_of_the_assets_folder_is_refused(full: CardInput, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "assets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="assets is a link"):
        write_card(folder, full)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_all_turns_and_pictures_of_a_record_are_shown(full: CardInput, picture: Path) -> None:
    turns = ("Which?", "3", "8", "3", True, False), ("Even?", "no", "no", "no", True, True)
    files = render_card(dataclasses.replace(full, samples=(sample((picture, picture), *turns),)))
    first, second = _rows(files["README.md"].decode(), "Samples")[2:]
    assert re.findall(r'src="([^"]+)"', first[0]) == [
        "assets/samples/01.png",
        "assets/samples/01-2.png",
    ]
    assert set(re.findall(r'src="([^"]+)"', first[0])) <= set(files)
    assert first[1:] == ["Which?", "3", "8 ✗", "3 ✓"]
    assert second == ["", "Even?", "no", "no ✓", "no ✓"]


def test_the_chinese_page_takes_what_the_family_says_in_chinese(minimal: CardInput) -> None:
    words = {"zh": {"用法": "在 {repository} 中"}}
    family = dataclasses.replace(minimal.family, usage_in=words)
    files = render_card(dataclasses.replace(minimal, family=family))
    assert "### 用法\n\n在 InternVL2-2B-Least 中\n" in files["README.zh-CN.md"].decode()
    assert "### Transformers\n" in files["README.md"].decode()


def test_a_single_loss_is_no_curve(full: CardInput) -> None:
    assert "assets/loss.png" not in render_card(
        dataclasses.replace(full, loss=(LossPoint(1, 2.0),))
    )


def test_usage_snippets_are_filled_with_the_repository_only(minimal: CardInput) -> None:
    family = CardFacts(
        "transformers", "image-text-to-text", (), {"A | B": "`{repository}` {'x': {}}"}
    )
    page = render_card(dataclasses.replace(minimal, family=family))["README.md"].decode()
    assert "### A \\| B\n\n`InternVL2-2B-Least` {'x': {}}\n" in page


@pytest.mark.parametrize("page", ["en.md.j2", "zh.md.j2"])
def test_every_expression_in_the_templates_names_its_filter(page: str) -> None:
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({**FILTERS, "markdown": str})
    tree = environment.parse((templates("model_card") / page).read_text(encoding="utf-8"))
    shown = [
        node
        for output in tree.find_all(nodes.Output)
        for node in output.nodes
        if not isinstance(node, nodes.TemplateData)
    ]
    assert len(shown) > 60
    for node in shown:
        assert isinstance(node, nodes.Filter) and node.name in {*FILTERS, "markdown"}, node
