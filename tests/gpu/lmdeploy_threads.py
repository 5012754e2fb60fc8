"""Two threads ask one LMDeploy pipeline at once: no error of an event loop, and the answers that
one thread gets.

    LMDEPLOY_PYTHON tests/gpu/lmdeploy_threads.py MODEL RECORDS IMAGES [BACKEND]

Run by the interpreter that has LMDeploy, with hubkit's wheel beside it.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hubkit_lmdeploy.engine import question
from hubkit_lmdeploy.loading import beside, load, prepare
from hubkit_lmdeploy.messages import messages
from hubkit_lmdeploy.options import Options

from hubkit.sdk import read_records

ROUNDS = 3


def main(model: Path, records: Path, images: Path, backend: str) -> None:
    from lmdeploy import GenerationConfig

    options = Options(backend=backend, cache_share=0.2)  # type: ignore[arg-type]
    chosen = prepare(model, options)
    asked = [question(record, images) for record in read_records(records)][:8]
    settings = GenerationConfig(max_new_tokens=8, do_sample=False)
    with beside(model, options) as name:
        pipe = load(name, chosen, options)
        try:

            def ask(turns: list[int]) -> list[str]:
                return [
                    pipe(messages(asked[n].record, asked[n].pictures, []), gen_config=settings).text
                    for n in turns
                ]

            alone = ask(list(range(8)))
            with ThreadPoolExecutor(2) as pool:
                for _ in range(ROUNDS):
                    first, second = pool.map(ask, ([0, 2, 4, 6], [1, 3, 5, 7]))
                    together = [text for pair in zip(first, second, strict=True) for text in pair]
                    assert together == alone, (together, alone)
            chat = pipe.chat((asked[0].pictures[0], "Which digit is this?"), gen_config=settings)
            again = pipe.chat("Is it even or odd?", session=chat, gen_config=settings)
            assert len(again.history) == 2 and all(answer for _, answer in again.history), (
                again.history
            )
        finally:
            pipe.close()
    said = [answer for _, answer in again.history]
    print(f"{ROUNDS} rounds of two threads as one: {alone}; a chat of two turns: {said}")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    main(
        *(Path(word).absolute() for word in sys.argv[1:4]),
        sys.argv[4] if len(sys.argv) == 5 else "auto",
    )
