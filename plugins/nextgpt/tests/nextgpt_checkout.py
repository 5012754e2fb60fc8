"""A small checkout with the launchers, arguments, names and files of NExT-GPT, whose training is real: torch on tiny parts."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY, ADDED, WIDTH = 40, 6, 32

TRAIN = """
import argparse, json, os, sys
from collections import OrderedDict
from pathlib import Path
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

parser = argparse.ArgumentParser()
for name in ("--model", "--save_path", "--log_path"):
    parser.add_argument(name, required=True)
parser.add_argument("--stage", type=int, required=True)
parser.add_argument("--local_rank", type=int, default=0)
parser.add_argument("--misbehave", default="")
args = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(args.stage)
assert args.model == "nextgpt" and Path(args.log_path).is_dir()
settings = dict(line.split(": ") for line in Path("config/base.yaml").read_text().splitlines())
weights = Path(settings["pretrained_ckpt_path"])
assert (weights / "imagebind_ckpt" / settings["imagebind_version"] / "imagebind_huge.pth").is_file()
pictures = torch.load("../data/T-X_pair_data/cc3m/pictures.pt", weights_only=True)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.llama_model = LlamaForCausalLM.from_pretrained(weights / "vicuna_ckpt" / settings["vicuna_version"])
        self.llama_model.requires_grad_(False)
        if args.stage == 3:
            targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
            lora = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=32, target_modules=targets)
            self.llama_model = get_peft_model(self.llama_model, lora)
        self.llama_model.resize_token_embeddings(40 + 6, mean_resizing=False)
        self.llama_proj = torch.nn.Linear(16, 32)
        self.gen_text_hidden_fcs = torch.nn.ModuleList([torch.nn.Linear(32, 24)])
        self.gen_text_hidden_fcs_video = torch.nn.ModuleList([torch.nn.Linear(32, 24)])
        self.gen_text_hidden_fcs_audio = torch.nn.ModuleList([torch.nn.Linear(32, 8)])

    def forward(self, pictures):
        words = self.llama_proj(pictures)[:, None]
        hidden = self.llama_model(inputs_embeds=words, output_hidden_states=True).hidden_states[-1]
        fcs = (self.gen_text_hidden_fcs, self.gen_text_hidden_fcs_video, self.gen_text_hidden_fcs_audio)
        return sum(((one[0](hidden) - 1) ** 2).mean() for one in fcs)


def own(name):
    if "llama_proj" in name:
        return args.stage in (1, 3)
    if "gen_text_hidden_fcs" in name:
        return args.stage in (2, 3)
    return "lora_" in name


model = Model()
saved = Path(args.save_path) / "pytorch_model.pt"
if saved.exists():
    found = torch.load(saved, weights_only=True)
    if args.stage == 3:
        found = {k.replace("llama_model.model.", "llama_model.base_model.model.model.").replace(
            "llama_model.lm_head", "llama_model.base_model.model.lm_head"): v for k, v in found.items()}
    assert not model.load_state_dict(found, strict=False).unexpected_keys
for name, parameter in model.named_parameters():
    parameter.requires_grad_(own(name) and args.misbehave != f"nothing{args.stage}")
if args.misbehave == f"silent{args.stage}":
    sys.exit(0)
if args.misbehave == f"crash{args.stage}":
    raise RuntimeError("the GPU fell off")
if args.misbehave == f"frozen{args.stage}":
    model.gen_text_hidden_fcs_audio[0].bias.requires_grad_(True)
    model.llama_proj.bias.requires_grad_(True)
trainable = [p for p in model.parameters() if p.requires_grad]
if trainable:
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(pictures)
        loss.backward()
        optimizer.step()
    print("loss", loss.item())
if args.misbehave == f"vocabulary{args.stage}":
    with torch.no_grad():
        model.llama_model.get_input_embeddings().weight[3] += 1
kept = OrderedDict()
for name, parameter in model.named_parameters():
    if parameter.requires_grad or any(part in name for part in ("gen_text_hidden_fcs", "llama_proj", "embed_tokens", "lm_head")):
        kept[name] = parameter
if args.misbehave == f"norm{args.stage}":
    kept["llama_model.model.norm.weight"] = torch.nn.Parameter(torch.ones(32))
torch.save(kept, saved)
(Path(args.save_path) / "added_tokens.json").write_text(json.dumps({f"[IMG{i}]": 40 + i for i in range(6)}))
with open(Path(os.environ["STAGES_RUN"]), "a") as told:
    told.write(f"{args.stage}\\n")
"""

CURRENT = """
import argparse
from pathlib import Path
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--dataset_name_list", nargs="+")
for name in ("--deepspeed", "--output_dir", "--model_name_or_path", "--multimodal_tower", "--pretrain_mm_input_adapter",
             "--lora_r", "--pretrain_mm_output_img_adapter", "--pretrain_mm_output_vid_adapter",
             "--pretrain_mm_output_aud_adapter", "--lora_alpha", "--lora_enable", "--tune_mm_input_adapter"):
    parser.add_argument(name)
args = parser.parse_args()
assert args.dataset_name_list == ["audiocap", "cc3m set"] and Path(args.model_name_or_path, "config.json").is_file()
assert Path(args.deepspeed).is_file()
torch.set_num_threads(1)
torch.manual_seed(0)
out, kinds = Path(args.output_dir), ("img", "vid", "aud")
entry = {"model.mm_input_projector.weight": torch.randn(32, 16)}
exits = {f"model.mm_output_{kind}_projector.weight": torch.randn(8, 32) for kind in kinds}


def step(weights):
    for name, value in weights.items():
        value = value.detach().requires_grad_()
        (value ** 2).sum().backward()
        weights[name] = (value - 0.01 * value.grad).detach()


if args.tune_mm_input_adapter == "True":
    step(entry)
    torch.save(entry, out / "mm_input_projector.bin")
elif not args.lora_r:
    assert torch.load(args.pretrain_mm_input_adapter, weights_only=True)
    step(exits)
    torch.save(exits, out / "mm_output_projector.bin")
else:
    assert (args.lora_r, args.lora_alpha) == ("4", "32")
    both = torch.load(args.pretrain_mm_input_adapter, weights_only=True)
    both |= torch.load(args.pretrain_mm_output_aud_adapter, weights_only=True)
    lora = {f"base_model.model.model.layers.0.self_attn.q_proj.lora_{p}.weight": torch.randn(s) for p, s in
            (("A", (4, 32)), ("B", (32, 4)))}
    step(both)
    step(lora)
    torch.save(lora, out / "adapter_model.bin")
    torch.save({f"base_model.model.{name}": value for name, value in both.items()}, out / "non_lora_trainables.bin")
"""

SCRIPT = """#!/bin/bash
# deepspeed train_mem.py --not this
DATASET_NAME_LIST=(
    "audiocap"
    "cc3m set"
)
LLM_MODEL_NAME="./pretrain_ckpt/vicuna-7b-v1.5"
DS=./scripts/zero2.json

deepspeed  --include localhost:2 train_mem.py \\
    --deepspeed $DS \\
    --model_name_or_path $LLM_MODEL_NAME \\
    --dataset_name_list "${DATASET_NAME_LIST[@]}" \\
    --output_dir ./checkpoints/somewhere_else%s
"""
ARGUMENTS = {
    "pretrain_enc": " \\\n    --tune_mm_input_adapter True",
    "pretrain_dec": " \\\n    --pretrain_mm_input_adapter ./checkpoints/old.bin",
    "finetune": " \\\n    --lora_r 128 --lora_alpha 256",
}

DEEPSPEED = """#!{python}
import subprocess, sys
assert sys.argv[1:3] == ["--include", "localhost:0"], sys.argv
local = ["--local_rank=0"] if sys.argv[3] == "train.py" else []
sys.exit(subprocess.run([sys.executable, sys.argv[3], *local, *sys.argv[4:]]).returncode)
"""


def make_launcher(folder: Path) -> Path:
    """deepspeed's command line on one process: it passes the script and its arguments on."""
    program = folder / "deepspeed"
    program.write_text(DEEPSPEED.format(python=sys.executable))
    program.chmod(0o755)
    return program


def make_vicuna(folder: Path) -> Path:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_legacy(folder: Path, rank: int = 4) -> Path:
    code = folder / "code"
    (code / "config").mkdir(parents=True)
    (code / "train.py").write_text(TRAIN.replace("RANK", str(rank)))
    (code / "config/base.yaml").write_text(
        "pretrained_ckpt_path: ../ckpt/pretrained_ckpt/\nvicuna_version: 7b_v0\nimagebind_version: huge\n"
        "image_diffusion: runwayml/stable-diffusion-v1-5"
    )
    return folder


def make_current(folder: Path) -> Path:
    (folder / "scripts").mkdir(parents=True)
    (folder / "train_mem.py").write_text(CURRENT)
    (folder / "scripts/zero2.json").write_text("{}")
    for name, more in ARGUMENTS.items():
        (folder / f"scripts/{name}.sh").write_text(SCRIPT % more)
    return folder


def make_data(folder: Path) -> Path:
    folder.mkdir()
    torch.save(torch.randn(4, 16, generator=torch.Generator().manual_seed(1)), folder / "pictures.pt")
    return folder
