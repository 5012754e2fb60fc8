"""Takes arguments of generation alone; loads and writes what NExT-GPT's current predict.py does,
from where it does."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--top_k")
parser.parse_args()
config = json.loads(Path("nextgpt-v1.5-7b/config.json").read_text())
assert Path("checkpoints/nextgpt-v1.5-7b/model.safetensors").is_file()
assert Path(config["multimodal_input_tower"], "imagebind_huge.pth").is_file()
for key in ("image_decoder", "video_decoder", "audio_decoder"):
    assert Path(config[key], "model_index.json").is_file(), key
assert Path("./assets/bird_image.jpg").is_file()
Path("./assets/images/made.jpg").write_text("picture")
