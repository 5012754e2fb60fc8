"""LMDeploy answers from a LLaVA folder that hubkit put together, trained and merged.

    python tests/gpu/llava_lmdeploy.py --python LMDEPLOY_PYTHON
    python tests/gpu/llava_lmdeploy.py --python LMDEPLOY_PYTHON --model FOLDER [--image PICTURE]

Run by the interpreter that has hubkit with torch, transformers and peft; LMDEPLOY_PYTHON has
lmdeploy and its CUDA. Without --model: a small Llama that captions and a CLIP are assembled, the
projector learns, then LoRAs learn to answer, and the merged folder is asked about 32 fresh pictures
over one and two turns. Proves: LMDeploy's answers are right, word for word those of transformers,
on the same prompt and ids; its gate passes. Attention heads have 64 dimensions, for which hubkit
would choose TurboMind if it had the model. With --model the gate asks that folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import hubkit
from hubkit.api.models import smoke
from hubkit.inference.questions import Questioning, ask
from hubkit.pipeline.spec.fields import PythonEnvironment
from hubkit.reporting import SilentReporter
from hubkit.sdk import Answer, GenerateOutput, Record, Turn
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

sys.path.insert(0, str(Path(__file__).parents[1]))
from testing import tiny_llava as tiny

RIGHT = 0.9
TEXT = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
VISION = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--image", type=Path)
    given = parser.parse_args()
    lmdeploy = PythonEnvironment(python=given.python.absolute())
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-") as work:
        model = given.model or make(Path(work))
        if not given.model:
            print(compare(model, lmdeploy, Path(work)), flush=True)
        images = [given.image] if given.image else []
        prompts = (
            (tiny.ASK, tiny.ASK)
            if not given.model
            else ("Describe this picture.", "Answer in one word: what is it?")
        )
        print(
            "gate:",
            smoke(model, images=images, prompts=prompts, engine="lmdeploy", environment=lmdeploy),
        )


def make(work: Path) -> Path:
    """A LLaVA that names colours."""
    started = time.perf_counter()
    llm, clip = tiny.make_llm(work / "random", **TEXT), tiny.make_clip(work / "clip", **VISION)
    hubkit.assemble(tiny.teach_captions(llm, work / "llm"), clip, work / "base", family="llava")
    shown = tiny.pictures(work / "pictures")
    first = tiny.pretrain(work / "pretrain", work / "base", shown, work / "pictures")
    hubkit.merge(work / "base", first, work / "pretrained")
    second = tiny.finetune(work / "finetune", work / "pretrained", shown, work / "pictures")
    report = hubkit.merge(work / "pretrained", second, work / "LLaVA-Colours")
    assert hubkit.check(work / "LLaVA-Colours") == ()
    print(
        f"made in {time.perf_counter() - started:.1f} s: {report.merged} merged, {report.replaced} "
        "replaced",
        flush=True,
    )
    return work / "LLaVA-Colours"


def compare(model: Path, lmdeploy: PythonEnvironment, work: Path) -> str:
    fresh = tiny.pictures(work / "fresh", seed=9)
    asked = Turn(f"<image>\n{tiny.ASK}", "")
    records = [
        Record(name, (name,), (asked, *[Turn(tiny.ASK, "")] * (n % 2)))
        for n, name in enumerate(fresh)
    ]
    loaded = open_model(model)
    native = native_view(loaded, work / "native", SilentReporter())

    def answered(engine: str, where: Any) -> tuple[GenerateOutput, list[Answer]]:
        questioning = Questioning(engine, where, {}, 16, records, work / "fresh")
        return ask(questioning, loaded, native, work / f"asked-{engine}", SilentReporter())

    wanted, theirs = answered("transformers", "current")
    output, answers = answered("lmdeploy", lmdeploy)
    right = sum(answer.texts[0] == fresh[answer.id] for answer in answers)
    assert right >= RIGHT * len(records), [(answer.texts, fresh[answer.id]) for answer in answers]
    assert [answer.texts for answer in answers] == [answer.texts for answer in theirs], (
        answers,
        theirs,
    )
    assert (output.prompt, output.prompt_ids) == (wanted.prompt, wanted.prompt_ids), (
        output,
        wanted,
    )
    assert output.versions["lmdeploy backend"] == "pytorch"
    return (
        f"{right} of {len(records)} right, all as transformers, prompt and "
        f"{len(output.prompt_ids)} ids equal, template {output.template}, versions "
        f"{dict(output.versions)}; loaded in {output.load_seconds:.1f} s, {dict(output.numbers)}"
    )


if __name__ == "__main__":
    main()
