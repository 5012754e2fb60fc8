"""JSON and YAML that is too deep, too large, ambiguous or not what it seems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from case import CHECK, MERGE, PLAN, RELEASE, Case, base, both, config, release
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

RUN = ("release", "release.yaml", "--until", "prepare")
KIND = "JSON and YAML"
Text = str | Callable[[], str]
"""A large one is made only when its case is run."""

_CONFIGS = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "900 deep": '{"a":' + "[" * 900 + "]" * 900 + "}",
    "a key twice": '{"architectures": ["InternVLChatModel"], "architectures": []}',
    "NaN": config(downsample_ratio=float("nan")),
    "Infinity": config(max_dynamic_patch=float("inf")),
    "1e400": config().replace("0.5", "1e400"),
    "5,000 digits": config().replace("56", "5" * 5000),
    "4,000 digits": config().replace("56", "5" * 4000),
    "20 million items": lambda: '{"a": [' + "[]," * 20_000_000 + "1]}",
    "a list": "[]",
    "a text": '"x"',
    "cut off": config()[:100],
    "two values": "{} {}",
    "a NUL": '{"a": "\0"}',
    "UTF-16": "\ufeff" + config(),
}


def _config(content: Text) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        both(folder)
        text = content() if callable(content) else content
        data = text.encode("utf-16" if text[0] == "\ufeff" else "utf-8")
        (folder / "base" / "config.json").write_bytes(data)

    return make


def _tokenizer(text: Text) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder, tokenizer_json=text)

    return make


def _data(content: Text) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        text = content() if callable(content) else content
        (folder / "data.json").write_text(text, "utf-8")

    return make


_DATA = {
    "deep lists": "[" * 100_000,
    "900 deep": '[{"id": ' + "[" * 900 + "]" * 900 + "}]",
    "deep lines": '{"id": "1", "conversations": []}\n{"a": ' + "[" * 100_000,
    "a key twice": '[{"id": "1", "id": "2", "conversations": []}]',
    "a key twice in a line": '{"id": "1", "id": "2", "conversations": []}',
    "5,000 digits": '[{"id": ' + "1" * 5000 + "}]",
    "one endless text": lambda: '[{"id": "' + "x" * (100 << 20),
    "one endless line": lambda: '{"id": "' + "x" * (100 << 20),
    "an endless text of emoji": lambda: '[{"id": "' + "😀" * (24 << 20),
    "30 million items": lambda: '[{"id": [' + "[]," * 30_000_000,
    "no text at all": "\0" * 1000,
}


def _bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


_RELEASES = {
    "an alias bomb": RELEASE + _bomb(12, 9),
    "an alias bomb of mappings": RELEASE
    + "\n".join(
        ["m0: &m0 {x: 1}"] + [f"m{n}: &m{n} {{a: *m{n - 1}, b: *m{n - 1}}}" for n in range(1, 40)]
    ),
    "an alias bomb as a key": RELEASE + _bomb(12, 9) + "\n? *a11\n: 1\n",
    "an alias of itself": RELEASE + "train: &t {options: *t}\n",
    "deep flow": "a: " + "[" * 20_000,
    "deep mappings": "{a: " * 20_000,
    "deep keys": "? " * 20_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(400)),
    "a key twice": RELEASE + "tag: v1\ntag: v2\n",
    "a date that is none": RELEASE + "seed: 2026-99-99\n",
    "a date": RELEASE + "tag: 2026-01-31\n",
    "a number without digits": RELEASE + "seed: 0x_\n",
    "base 60 without end": RELEASE + "seed: 1" + ":59" * 20_000 + "\n",
    "100,000 digits": RELEASE + "seed: " + "9" * 100_000 + "\n",
    "a seed that is not a number": RELEASE + "seed: .nan\n",
    "holdout: .nan": RELEASE.replace("holdout: 1", "holdout: .nan"),
    "holdout: .inf": RELEASE.replace("holdout: 1", "holdout: .inf"),
    "holdout: -.inf": RELEASE.replace("holdout: 1", "holdout: -.inf"),
    "a list as a trainer": RELEASE + "train: {trainer: [peft]}\n",
    "a mapping as an engine": RELEASE + "smoke: {engine: {a: 1}}\n",
    "a list as a metric": RELEASE + "evaluate: {metrics: [[exact_match]]}\n",
    "a list as a format": RELEASE.replace("license:", "format: [x], license:"),
    "a number as a fallback": RELEASE + "smoke: {fallback: 3}\n",
    "a list as a target": RELEASE.replace("git:./hub/InternVL2-Hostile.git", "[git]"),
    "NUL in a target": RELEASE.replace("git:./hub/InternVL2-Hostile.git", '"git:./a\\0b"'),
    "NUL in a path": RELEASE.replace("path: base", 'path: "a\\0b"'),
    "half a pair in a name": RELEASE.replace("InternVL2-Hostile\n", '"InternVL2-\\ud800"\n'),
    "half a pair in a key": RELEASE + '"\\ud800": 1\n',
    "an escape in a name": RELEASE.replace("InternVL2-Hostile\n", '"InternVL2-\\e[2J"\n'),
    "a path of 5,000 characters": RELEASE.replace("path: base", "path: " + "a/" * 2500),
    "a name of 300 characters": RELEASE.replace("path: base", "path: " + "a" * 300),
    "a binary value": RELEASE + "seed: !!binary aGk=\n",
    "a Python object": RELEASE + "seed: !!python/object/apply:os.getpid []\n",
    "a Python name": RELEASE + "seed: !!python/name:os.system\n",
    "a timestamp of text": RELEASE + "tag: !!timestamp abc\n",
    "a truth value of text": RELEASE + "verify: {deep: !!bool abc}\n",
    "an int of nothing": RELEASE + "seed: !!int ''\n",
    "a float of text": RELEASE + "seed: !!float abc\n",
    "a set": RELEASE + "card: !!set {title}\n",
    "a merge key": RELEASE + "<<: {seed: 1}\n",
    "two documents": RELEASE + "---\n" + RELEASE,
    "a tab": RELEASE + "\tseed: 1\n",
    "nothing": "",
    "a list as the file": "- 1\n",
    "300 kB": RELEASE + "#" * 300_000,
    "10,000 unknown keys": RELEASE + "\n".join(f"k{n}: 1" for n in range(10_000)),
    "a key of 100 kB": RELEASE + "? " + "k" * 100_000 + "\n: 1\n",
    "a value of 100 kB": RELEASE + "tag: " + "k" * 100_000 + "\n",
    "an option of 100 kB": RELEASE + "train: {options: {rank: " + "k" * 100_000 + "}}\n",
    "NaN among options": RELEASE + "train: {options: {learning_rate: .nan}}\n",
    "a rate of 1e400": RELEASE + "train: {options: {learning_rate: 1.0e+400}}\n",
    "Latin-1": RELEASE.encode() + b"card: {title: \xe9}\n",
}
_LINES = {
    "a date that is none": "line 6: seed: a whole number, not '2026-99-99'",
    "a number without digits": "line 6: seed: a whole number, not '0x_'",
    "holdout: .nan": "line 3: '.nan' is not a finite number",
    "an alias bomb": "values, each as often as aliases repeat it",
    "a list as a trainer": "line 6: train.trainer",
    "a key twice": "line 7: 'tag' is given twice (first on line 6)",
}


def _release(text: str | bytes) -> Callable[[Path], None]:
    return lambda folder: release(folder, text)


def _card(matter: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder, README_md=f"---\n{matter}\n---\n")

        (folder / "release.yaml").write_text(RELEASE)
        (folder / "data.json").write_text("[]")

    return make


def _generated() -> list[Case]:
    """release.yaml and config.json with pieces of the sound file changed at random places."""
    found: list[Case] = []
    pieces = st.sampled_from(
        [
            "&a ",
            "*a",
            "!!set ",
            "? ",
            "- ",
            ": ",
            "[",
            "{",
            "'",
            '"',
            "\\0",
            ".nan",
            "|\n",
            "\t",
            "%",
        ]
    )

    @settings(
        max_examples=24,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(10, len(RELEASE) - 1), st.lists(pieces, min_size=2, max_size=6))
    def collect(at: int, chosen: list[str]) -> None:
        text = RELEASE[:at] + "".join(chosen) + RELEASE[at + 3 :] + "nonsense: 1\n"
        found.append(Case(f"generated {len(found)}", PLAN, _release(text)))

    collect()
    return found


CASES = [
    *(Case(f"config.json: {name}", MERGE, _config(text)) for name, text in _CONFIGS.items()),
    *(
        Case(f"tokenizer.json: {name}", CHECK, _tokenizer(text), exits=3)
        for name, text in _CONFIGS.items()
        if name in ("deep lists", "900 deep", "a key twice", "a list", "4,000 digits", "cut off")
    ),
    *(
        Case(f"data: {name}", ("prepare", "data.json", "out"), _data(text))
        for name, text in _DATA.items()
    ),
    *(
        Case(f"release.yaml: {name}", PLAN, _release(text), says=_LINES.get(name, ""))
        for name, text in _RELEASES.items()
    ),
    *(
        Case(f"a base card: {name}", RUN, _card(matter), says="front matter is not valid YAML")
        for name, matter in {
            "an alias bomb": _bomb(12, 9) + "\nlicense: *a11",
            "deep": "license: " + "[" * 20_000,
            "a Python object": "license: !!python/object/apply:os.getpid []",
        }.items()
    ),
    Case(
        "--set with an alias bomb",
        (*PLAN, "--set", "train.options.rank=" + "[&a " + "[" * 5000),
        _release(RELEASE),
    ),
    Case("--set with a date", (*PLAN, "--set", "tag=2026-99-99"), _release(RELEASE)),
    Case("--set at an odd digit", (*PLAN, "--set", "publish.².to=x"), _release(RELEASE)),
    Case(
        "--set far beyond", (*PLAN, "--set", "publish." + "9" * 5000 + ".to=x"), _release(RELEASE)
    ),
    Case(
        "SOURCE_DATE_EPOCH=abc",
        RUN,
        _card("license: mit"),
        says="SOURCE_DATE_EPOCH is 'abc'",
        variables={"SOURCE_DATE_EPOCH": "abc"},
    ),
    Case(
        "SOURCE_DATE_EPOCH=nan", RUN, _card("license: mit"), variables={"SOURCE_DATE_EPOCH": "nan"}
    ),
    Case(
        "SOURCE_DATE_EPOCH=1e99",
        RUN,
        _card("license: mit"),
        variables={"SOURCE_DATE_EPOCH": "1e99"},
    ),
    *_generated(),
]
