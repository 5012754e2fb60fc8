"""Makes OUT, the quickstart's tiny base model with attention heads of 64 dimensions: TurboMind takes no smaller ones.

    python tests/gpu/lmdeploy_base64.py OUT [STEPS]

The quickstart's own has heads of 32 (language) and 24 (vision). Trained on the CPU like it, on printed digits, in some
minutes; the tile is 112 pixels with patches of 14, as a real InternViT's patches are.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from hubkit.quickstart import make_base
from hubkit.quickstart.base_files import write_files
from hubkit.registry import plugins
from hubkit.sdk import token_ids
from hubkit.weights.convert import to_official

LLM = {"num_attention_heads": 2, "num_key_value_heads": 1}
VIT = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2, "image_size": 112, "patch_size": 14}


def main(out: Path, steps: int) -> None:
    family = plugins().get("family", "internvl")
    with tempfile.TemporaryDirectory() as scratch:
        bare, native = Path(scratch, "bare"), Path(scratch, "native")
        bare.mkdir()
        native.mkdir()
        write_files(bare)
        for name in make_base.HAND_WRITTEN:
            shutil.copyfile(make_base.BASE / name, bare / name)
        config = json.loads((bare / "config.json").read_text("utf-8"))
        config["llm_config"].update(LLM)
        config["vision_config"].update(VIT)
        config["force_image_size"] = VIT["image_size"]
        (bare / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        (native / "config.json").write_text(json.dumps(family.native(config, token_ids(bare)).config), "utf-8")
        make_base._train(bare, native, family.vision(config, None), make_base.Recipe(steps=steps), make_base._Lines())
        to_official(native, out, family, bare)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else make_base.Recipe.steps)
