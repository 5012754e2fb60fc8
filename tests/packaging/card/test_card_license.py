"""Reading the base model's licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubkit.packaging.card import License, read_license
from hubkit.sdk import UsageError

MIT = """MIT License

Copyright (c) 2023 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software, to deal in the Software without restriction, provided that
the above copyright notice is included.
"""


def _card(folder: Path, front_matter: str, newline: str = "\n") -> Path:
    (folder / "README.md").write_bytes(
        f"---\n{front_matter}\n---\n# Model\n".replace("\n", newline).encode()
    )
    return folder


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_front_matter_of_the_card(tmp_path: Path, newline: str) -> None:
    found = read_license(_card(tmp_path, "license: MIT\ntags: [a]", newline))
    assert found == (License("mit"), "base model card README.md")


def test_name_and_link_are_kept(tmp_path: Path) -> None:
    _card(tmp_path, "license: other\nlicense_name: internlm\nlicense_link: LICENSE")
    assert read_license(tmp_path)[0] == License("other", "internlm", "LICENSE")


def test_a_list_of_one_is_a_license(tmp_path: Path) -> None:
    assert read_license(_card(tmp_path, "license: [apache-2.0]"))[0] == License("apache-2.0")


def test_several_licenses_are_for_a_person_to_judge(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"several licences: mit, apache-2\.0"):
        read_license(_card(tmp_path, "license: [mit, apache-2.0]"))


@pytest.mark.parametrize(
    "readme",
    [
        None,
        "# no front matter\n",
        "---\ntags: [a]\n---\n",
        "---\nlicense:\n---\n",
        "---\nlicense: unknown\n---\n",
    ],
)
def test_licence_file_when_the_card_says_nothing(tmp_path: Path, readme: str | None) -> None:
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    (tmp_path / "LICENSE").write_text(MIT)
    assert read_license(tmp_path) == (License("mit"), "base model file LICENSE")


def test_apache_licence_of_this_repository_is_recognised(tmp_path: Path) -> None:
    own = Path(__file__).parents[3] / "LICENSE"
    (tmp_path / "LICENSE.txt").write_text(own.read_text())
    assert read_license(tmp_path) == (License("apache-2.0"), "base model file LICENSE.txt")


def test_no_licence_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_license(tmp_path)
    assert (
        "no licence" in caught.value.message
        and "`base.license` in release.yaml" in caught.value.remedy
    )
    assert str(tmp_path.parent) not in caught.value.message


def test_unrecognised_licence_file(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("You may look but not touch.")
    with pytest.raises(UsageError, match="not a licence that hubkit recognises"):
        read_license(tmp_path)


@pytest.mark.parametrize(
    ("front_matter", "message"),
    [
        ("license: [mit", "not valid YAML"),
        ("license: !!python/object/apply:os.system ['touch owned']", "not valid YAML"),
        ("x: " + "[" * 20_000, "not valid YAML"),
        ("x: '" + "a" * 70_000 + "'", "longer than"),
    ],
)
def test_hostile_front_matter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front_matter: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        read_license(_card(tmp_path, front_matter))
    assert not (tmp_path / "owned").exists()


def test_multiplying_aliases_are_refused(tmp_path: Path) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    with pytest.raises(UsageError, match="more than 20,000 values, each as often as aliases"):
        read_license(_card(tmp_path, f"license: mit\na0: &a0 [x]\n{levels}"))
