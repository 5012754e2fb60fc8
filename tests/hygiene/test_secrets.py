"""Every form of secret in every place that is published, and what only looks like one."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import hubkit
from hubkit.hygiene.audit import audit
from hubkit.hygiene.search import search_texts

CANARIES = runpy.run_path(str(Path(__file__).with_name("canaries.py")))
SECRETS, PRIVATE = CANARIES["SECRETS"], CANARIES["PRIVATE"]
PLACES, SECRET_PLACES = CANARIES["PLACES"], CANARIES["SECRET_PLACES"]
QUICKSTART = Path(hubkit.__file__).parent / "quickstart/base"


def missed(plant: object, forms: dict[str, str], folder: Path, looks: str) -> list[str]:
    """The forms that were not found just once, or were shown."""
    wrong = []
    for value, kind in forms.items():
        plant(folder, value)  # type: ignore[operator]
        problems = audit(folder)
        hidden = max(re.split(r"[\s\"]+", value), key=len)
        if [p.message for p in problems] != [looks + kind] or hidden in repr(problems):
            wrong.append(f"{value!r}: {problems}")
    return wrong


@pytest.mark.parametrize("place", [*PLACES, *SECRET_PLACES])
def test_a_secret_is_found_wherever_it_stands(tmp_path: Path, place: str) -> None:
    plant = (PLACES | SECRET_PLACES)[place]
    assert missed(plant, SECRETS, tmp_path, "looks like ") == []


@pytest.mark.parametrize("place", PLACES)
def test_a_path_or_address_is_found_wherever_it_stands(tmp_path: Path, place: str) -> None:
    assert missed(PLACES[place], PRIVATE, tmp_path, "") == []


@pytest.mark.parametrize("form", [*SECRETS, *PRIVATE])
def test_text_that_will_be_published(form: str) -> None:
    (problem,) = search_texts([("card.title", f"Which digit?\n{form}")])
    assert problem.where == "card.title" and problem.remedy


@pytest.mark.parametrize("filler", [b"just words\n", b"\0\xff\xfe\x80"], ids=["text", "binary"])
def test_a_large_file_is_searched_to_its_end(tmp_path: Path, filler: bytes) -> None:
    CANARIES["large"](tmp_path, filler)
    problems = audit(tmp_path)
    assert {p.message for p in problems} == {f"looks like {kind}" for kind in SECRETS.values()}
    if filler.isascii():
        assert len({p.where for p in problems}) == len(SECRETS)


@pytest.mark.parametrize("form", CANARIES["NAMES"])
def test_a_secret_in_a_files_name_is_found_and_not_shown(tmp_path: Path, form: str) -> None:
    for value, kind in SECRETS.items():
        name = form.format(value)
        if {"/", "\n"} & set(value) or len(name) > 200:
            continue
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        problems = audit(tmp_path)
        assert f"its name looks like {kind}" in [p.message for p in problems], value
        assert max(re.split(r"[\s\"]+", value), key=len) not in repr(problems)
        path.unlink()


@pytest.mark.parametrize("suffix", CANARIES["compressed"]())
def test_what_cannot_be_searched_is_refused(tmp_path: Path, suffix: str) -> None:
    data = CANARIES["compressed"]()[suffix](b"HF_TOKEN=hf_" + b"aB3" * 12)
    (tmp_path / f"notes.{suffix}").write_bytes(data)
    (problem,) = audit(tmp_path)
    assert problem.message == "compressed: what is in it cannot be searched for secrets"


def test_the_author_is_declared(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("By Ada@Engines.org, not bob@engines.org\n")
    assert [p.where for p in audit(tmp_path, "ada@engines.org")] == ["README.md:1"]
    (tmp_path / "README.md").write_text("By Ada@Engines.org\n")
    assert audit(tmp_path, "ada@engines.org") == ()
    assert "--author-email" in audit(tmp_path)[0].remedy


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:org/x.git",
        "mail somebody@example.com, 1+x@users.noreply.github.com",
        "y = q@k.transpose(1, 2) + x@w.to(device) + a@b.mT",
        "self.local = threading.local(); cfg2.internal.value; x.local",
        "nvidia-curand-cu12==10.3.2.106, 10.3.2.106",
        "https://huggingface.co/org/x/home/user/y and data/train/x",
        "sk-learn-compatible-estimators-with-a-long-name-indeed",
        "docker run -v $HOME/data/x:/model, ${X}/home/ada/x, localhost:8000, 127.0.0.1:80",
        "Bearer {token}, Authorization: Bearer <token>, password: hunter",
        "https://user:{password}@host/x, http://$USER:$PASS@host",
        "machine learning, login and password are needed",
    ],
)
def test_what_only_looks_like_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "modeling_x.py").write_text(text)
    assert audit(tmp_path) == ()


def test_the_files_that_hubkit_ships_hold_none() -> None:
    assert audit(QUICKSTART) == ()


def test_many_findings_of_a_kind_are_counted(tmp_path: Path) -> None:
    value = "hf_" + "aB3" * 12
    (tmp_path / "log.txt").write_text(f"{value}\n" * 20_000)
    problems = audit(tmp_path)
    assert [p.where for p in problems] == sorted(f"log.txt:{n}" for n in range(1, 11))
    last = next(p for p in problems if p.where == "log.txt:10")
    assert last.message == "looks like a Hugging Face token (and 19990 more in this file)"
