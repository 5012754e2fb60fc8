"""LMDeploy answers from a LLaVA folder that hubkit put together and merged.

    python tests/gpu/llava_lmdeploy.py --python LMDEPLOY_PYTHON --llm FOLDER --clip FOLDER --adapter ADAPTER [--image PICTURE]

Run by the interpreter that has hubkit; LMDEPLOY_PYTHON has lmdeploy and its CUDA. LLM is a Llama, Vicuna or InternLM2 folder, and
CLIP a clip-vit-large-patch14-336 one; ADAPTER is an `iter_N.pth` of XTuner, a folder of its `pth_to_hf`, or of PEFT. Assembles,
merges, checks, and asks; the answers are printed. Exit code 1 when an answer is empty, endless or repeats itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import hubkit
from hubkit import api
from hubkit.errors import RefusedError
from hubkit.spec import PythonEnvironment

PROMPTS = ("Describe this picture.", "Answer in one word: what is it?")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--python", "--llm", "--clip", "--adapter"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--image", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-") as work:
        base, merged = Path(work, "base"), Path(work, "llava-proof")
        print("assembled:", hubkit.assemble(given.llm, given.clip, base, family="llava").tensors, "tensors")
        report = hubkit.merge(base, given.adapter, merged)
        print("merged:", report.merged, "replaced:", report.replaced, "copied:", report.copied)
        problems = hubkit.check(merged)
        print(*(f"{problem.where}: {problem.message}" for problem in problems), sep="\n")
        images = [given.image] if given.image else []
        try:
            environment = PythonEnvironment(python=given.python.absolute())
            said = api.smoke(merged, images=images, prompts=PROMPTS, engine="lmdeploy", environment=environment)
        except RefusedError as error:
            print(error)
            return 1
        print(said)
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
