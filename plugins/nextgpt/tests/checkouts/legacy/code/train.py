"""A tiny model with the arguments, files and parameter names of NExT-GPT's legacy train.py.
`--misbehave` is ours."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy
import torch
import yaml
from transformers import LlamaForCausalLM

VOCABULARY, ADDED, WIDTH, PICTURE = 40, 6, 32, 16
TEXTS = {
    "--model": "nextgpt",
    "--mode": "train",
    "--save_path": "",
    "--log_path": "",
    "--assets_path": "",
    "--misbehave": "",
}
NUMBERS = {"--stage": 1, "--local_rank": 0, "--max_length": 512}


class Fc(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc, self.model = torch.nn.Linear(WIDTH, 8), torch.nn.Linear(8, width)

    def forward(self, hidden, embedded):
        return self.model(torch.tanh(self.fc(hidden + embedded)))


class NextGPT(torch.nn.Module):
    def __init__(self, settings):
        super().__init__()
        weights = Path(settings["pretrained_ckpt_path"])
        assert (
            weights / "imagebind_ckpt" / settings["imagebind_version"] / "imagebind_huge.pth"
        ).is_file()
        self.llama_model = LlamaForCausalLM.from_pretrained(
            weights / "vicuna_ckpt" / settings["vicuna_version"]
        )
        self.llama_model.requires_grad_(False)
        if not settings["freeze_lm"]:
            from peft import LoraConfig, get_peft_model

            lora = {
                "r": settings["lora_r"],
                "lora_alpha": settings["lora_alpha"],
                "lora_dropout": settings["lora_dropout"],
            }
            targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
            self.llama_model = get_peft_model(
                self.llama_model, LoraConfig(task_type="CAUSAL_LM", target_modules=targets, **lora)
            )
        self.llama_model.resize_token_embeddings(VOCABULARY + ADDED, mean_resizing=False)
        for one in (
            self.llama_model.get_input_embeddings(),
            self.llama_model.get_output_embeddings(),
        ):
            one.requires_grad_(True)  # new embeddings of transformers 4.29 are
        self.llama_proj = torch.nn.Linear(PICTURE, WIDTH).requires_grad_(
            not settings["freeze_input_proj"]
        )
        for kind, width in (("", 24), ("_video", 24), ("_audio", 8)):
            layers = torch.nn.ModuleList([Fc(width)]).requires_grad_(
                not settings["freeze_output_proj"]
            )
            setattr(self, f"gen_text_hidden_fcs{kind}", layers)

    def forward(self, words, picture, wanted):
        embedded = self.llama_model.get_input_embeddings()(words)
        before = self.llama_proj(picture)[None, None]
        states = self.llama_model(
            inputs_embeds=torch.cat([before, embedded], 1), output_hidden_states=True
        )
        loss = torch.nn.functional.cross_entropy(states.logits[0, :-1], words[0])
        for kind, width in (("", 24), ("_video", 24), ("_audio", 8)) if wanted is not None else ():
            given = getattr(self, f"gen_text_hidden_fcs{kind}")[0](
                states.hidden_states[-1][:, 1:], embedded
            )
            loss = loss + (given - wanted[:width]).square().mean()
        return loss


def load(model, path, stage):
    """Stages 1 and 2 saved the embeddings under names that peft changes in stage 3."""
    if path.exists():
        found = torch.load(path, weights_only=True)
        if stage == 3:
            names = ("model.embed_tokens.weight", "lm_head.weight")
            new = {f"llama_model.{name}": f"llama_model.base_model.model.{name}" for name in names}
            found = {new.get(name, name): value for name, value in found.items()}
        assert not model.load_state_dict(found, strict=False).unexpected_keys


def save(model, folder):
    kept = {
        k: v
        for k, v in model.named_parameters()
        if v.requires_grad or "gen_text_hidden_fcs" in k or "llama_proj" in k
    }
    torch.save(kept, folder / "pytorch_model.pt")
    (folder / "added_tokens.json").write_text(
        json.dumps({f"[IMG{i}]": VOCABULARY + i for i in range(ADDED)})
    )
    (folder / "tokenizer_config.json").write_text("{}")
    model.llama_model.config.save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser()
    for name, usual in {**TEXTS, **NUMBERS}.items():
        parser.add_argument(name, type=type(usual), default=usual)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = yaml.safe_load(Path("config/base.yaml").read_text())
    settings |= yaml.safe_load(Path(f"config/stage_{args.stage}.yaml").read_text())
    steps = json.loads(Path(f"dsconfig/stage_{args.stage}.json").read_text())["steps"]
    torch.manual_seed(settings["seed"])
    folder = Path(args.save_path)
    for path in (folder, Path(args.log_path)):
        path.mkdir(parents=True, exist_ok=True)
    Path(args.log_path, "train.log").touch()
    records = json.loads(Path("../data/T-X_pair_data/cc3m/cc3m.json").read_text())
    embed = Path("../data/embed" if args.stage == 2 else "embed")
    model = NextGPT(settings)
    bad = args.misbehave
    if bad == "nothing":
        model.requires_grad_(False)
    elif bad == "own":
        model.llama_proj.requires_grad_(False)
    elif bad == "foreign":
        model.llama_proj.requires_grad_(True)
    elif bad == "norm":
        model.llama_model.model.norm.requires_grad_(True)
    total, trained = (
        sum(p.numel() for p in model.parameters() if p.requires_grad or every)
        for every in (True, False)
    )
    print(
        f"all params: {total:,} || trainable params: {trained:,} || trainable%: "
        f"{100 * trained / total}"
    )
    load(model, folder / "pytorch_model.pt", args.stage)
    if bad == "crash":
        raise RuntimeError("the GPU fell off")
    if bad == "nothing":
        time.sleep(600)
    if bad == "silent":
        sys.exit(0)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.001
    )
    for step in range(steps):
        record = records[step % len(records)]
        words = torch.tensor([[*record["words"], *range(VOCABULARY, VOCABULARY + ADDED)]])
        wanted = (
            torch.from_numpy(numpy.load(embed / f"{record['image_name']}.npy")).float()
            if args.stage > 1
            else None
        )
        optimizer.zero_grad()
        loss = model(words, torch.tensor(record["picture"]), wanted)
        loss.backward()
        optimizer.step()
        print("loss", loss.item())
    save(model, folder)
    with Path(os.environ["STAGES_RUN"]).open("a") as told:
        told.write(f"{args.stage}\n")


if __name__ == "__main__":
    main()
