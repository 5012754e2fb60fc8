"""The canary table: how many forms of secret are caught in each place that is published, and the
false alarms on real code and tokenizers.

python tests/hygiene/table.py [FOLDER ...]    # folders of real files; transformers' own by default
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import canaries

from hubkit.hygiene.audit import audit
from hubkit.hygiene.search import search, search_texts

_HOLDS_ONE = "transformers/testing_utils.py"
"""A token of Hugging Face's test hub stands in it, in the clear."""
_REAL = (".py", ".json", ".model", ".txt", ".jinja")


def missed(place: str, forms: dict[str, str], looks: str) -> list[str]:
    plant = (canaries.PLACES | canaries.SECRET_PLACES)[place]
    found = []
    with tempfile.TemporaryDirectory() as name:
        for value, kind in forms.items():
            plant(Path(name), value)
            if looks + kind not in [problem.message for problem in audit(Path(name))]:
                found.append(value)
    return found


def rows() -> list[tuple[str, int, list[str]]]:
    """Place, forms planted, forms missed."""
    secrets, private = canaries.SECRETS, canaries.PRIVATE
    both = {**secrets, **private}
    found = [
        (place, len(both), missed(place, secrets, "looks like ") + missed(place, private, ""))
        for place in canaries.PLACES
    ]
    found += [
        (place, len(secrets), missed(place, secrets, "looks like "))
        for place in canaries.SECRET_PLACES
    ]
    told = [form for form in both if not list(search_texts([("text", f"Which?\n{form}")]))]
    places = "title, summary, prompts; ids, questions, answers of records"
    return [*found, (places, len(both), told)]


def _is_real(path: Path) -> bool:
    return path.suffix in _REAL and not path.as_posix().endswith(_HOLDS_ONE)


def main(folders: list[str]) -> int:
    wrong = 0
    print(f"{'place':<62}{'forms':>6}{'caught':>8}{'missed':>8}")
    for place, forms, left in rows():
        print(f"{place:<62}{forms:>6}{forms - len(left):>8}{len(left):>8}  {' '.join(left)}")
        wrong += len(left)
    spec = importlib.util.find_spec("transformers")
    real = [Path(one) for one in folders] or [Path(str(spec and spec.origin)).parent]
    files = [path for folder in real for path in sorted(folder.rglob("*")) if _is_real(path)]
    alarms = [problem for path in files for problem in search(path, str(path))]
    alarms = [problem for problem in alarms if problem.message.startswith("looks like")]
    print(f"\n{len(files):,} real files: {len(alarms)} false alarms")
    for problem in alarms:
        print(f"  {problem.where}: {problem.message}")
    return int(bool(wrong or alarms))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
