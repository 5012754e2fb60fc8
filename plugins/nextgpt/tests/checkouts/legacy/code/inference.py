"""Takes no arguments; the delta is where NExT-GPT's legacy inference.py has it, and so is what it
makes."""

import sys
from pathlib import Path

import torch

assert not sys.argv[1:]
assert torch.load("../ckpt/delta_ckpt/nextgpt/7b_tiva_v0/pytorch_model.pt", weights_only=True)
Path("./assets/images/made.jpg").write_text("picture")
