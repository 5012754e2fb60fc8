"""Loads what NExT-GPT's legacy demo loads, from where it does, and ends."""

import argparse
from pathlib import Path

import torch
import yaml

parser = argparse.ArgumentParser()
for name, usual in (("--model", "nextgpt"), ("--nextgpt_ckpt_path", None), ("--stage", "3")):
    parser.add_argument(name, default=usual)
args = parser.parse_args()
settings = yaml.safe_load(Path("config/base.yaml").read_text())
weights = Path(settings["pretrained_ckpt_path"])
assert (weights / "imagebind_ckpt" / settings["imagebind_version"] / "imagebind_huge.pth").is_file()
assert (weights / "vicuna_ckpt" / settings["vicuna_version"] / "config.json").is_file()
for key in ("image_diffusion", "video_diffusion", "audio_diffusion"):
    assert (Path(settings[key]) / "model_index.json").is_file(), key
assert torch.load(Path(args.nextgpt_ckpt_path) / "pytorch_model.pt", weights_only=True)
Path("temp").mkdir(exist_ok=True)
Path("temp/made.jpg").write_text("picture")
