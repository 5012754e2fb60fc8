"""A tiny model with the arguments, files and parameter names of NExT-GPT's current train.py.
`--misbehave` is ours: `upstream` leaves the LoRA frozen, as the code on GitHub does."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy
import torch
from transformers import LlamaForCausalLM

ADDED, WIDTH, PICTURE = 6, 32, 16
KINDS = {"img": 24, "vid": 24, "aud": 8}
TUNED = {"input": "True", "output_img": "True", "output_vid": "False", "output_aud": "False"}
OTHERS = (
    "deepspeed version bf16 num_train_epochs group_by_modality_length mm_input_projector_lr "
    "weight_decay layer_idx cache_dir"
)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset_name_list", nargs="+")
    names = [
        "model_name_or_path",
        "multimodal_tower",
        "image_decoder",
        "video_decoder",
        "audio_decoder",
        "output_dir",
        "misbehave",
    ]
    names += [f"pretrain_mm_{key}_adapter" for key in TUNED] + OTHERS.split()
    for name in names:
        parser.add_argument(f"--{name}")
    for name, usual in [(f"tune_mm_{k}_adapter", v) for k, v in TUNED.items()] + [
        ("lora_enable", "False")
    ]:
        parser.add_argument(f"--{name}", default=usual)
    for key in TUNED:
        parser.add_argument(f"--freeze_mm_{key}_adapter", default="False")
    parser.add_argument("--lora_r", type=int, default=64)
    parser.add_argument("--lora_alpha", type=int, default=16)
    return parser.parse_args()


def build(args):
    assert "mpt" not in args.model_name_or_path and "imagebind" in args.multimodal_tower
    assert Path(args.multimodal_tower, "imagebind_huge.pth").is_file()
    llm = model = LlamaForCausalLM.from_pretrained(args.model_name_or_path)
    if args.lora_enable == "True":
        from peft import LoraConfig, get_peft_model

        targets = sorted(
            {
                name.rpartition(".")[2]
                for name, one in llm.model.named_modules()
                if isinstance(one, torch.nn.Linear)
            }
        )
        lora = LoraConfig(
            task_type="CAUSAL_LM", r=args.lora_r, lora_alpha=args.lora_alpha, target_modules=targets
        )
        model = get_peft_model(llm, lora)
    llm.config.multimodal_input_tower = args.multimodal_tower
    llm.model.mm_input_projector = torch.nn.Linear(PICTURE, WIDTH)
    if args.image_decoder and args.video_decoder and args.audio_decoder:
        for kind, width in KINDS.items():
            setattr(llm.model, f"mm_output_{kind}_projector", torch.nn.Linear(WIDTH, width))
        for name in ("image_decoder", "video_decoder", "audio_decoder"):
            assert Path(getattr(args, name), "model_index.json").is_file()
            setattr(llm.config, name, getattr(args, name))
    model.requires_grad_(False)
    for key in TUNED:
        given = getattr(args, f"pretrain_mm_{key}_adapter")
        if given:
            part, found = f"mm_{key}_projector.", torch.load(given, weights_only=True)
            own = {name.split(part)[1]: value for name, value in found.items() if part in name}
            getattr(llm.model, f"mm_{key}_projector").load_state_dict(own)
        if getattr(args, f"tune_mm_{key}_adapter") == "True":
            on = getattr(args, f"freeze_mm_{key}_adapter") != "True"
            getattr(llm.model, f"mm_{key}_projector").requires_grad_(on)
    if args.misbehave != "upstream":
        for name, one in model.named_parameters():
            one.requires_grad_(one.requires_grad or "lora_" in name)
    old = llm.config.vocab_size
    llm.resize_token_embeddings(old + ADDED, mean_resizing=False)
    tuned = any(getattr(args, f"tune_mm_{key}_adapter") == "True" for key in TUNED)
    for one in (llm.get_input_embeddings(), llm.get_output_embeddings()):
        one.weight.data[old:] = one.weight.data[:old].mean(0)
        one.requires_grad_(tuned)
    for given in filter(
        None, (args.pretrain_mm_input_adapter, args.pretrain_mm_output_img_adapter)
    ):
        rows = torch.load(given, weights_only=True)["model.embed_tokens.weight"]
        llm.get_input_embeddings().weight.data[old:] = rows[old:]
    return model, llm


def loss_of(llm, record):
    ids = torch.tensor(
        [[*record["words"], *range(llm.config.vocab_size - ADDED, llm.config.vocab_size)]]
    )
    before = llm.model.mm_input_projector(torch.tensor(record["picture"]))[None, None]
    embedded = torch.cat([before, llm.get_input_embeddings()(ids)], 1).requires_grad_()
    states = llm(inputs_embeds=embedded, output_hidden_states=True)
    loss = torch.nn.functional.cross_entropy(states.logits[0, :-1], ids[0])
    for kind, width in KINDS.items() if hasattr(llm.model, "mm_output_aud_projector") else ():
        wanted = torch.from_numpy(
            numpy.load(Path("data/embed", record["image_caption_embeddings"]))
        ).float()
        given = getattr(llm.model, f"mm_output_{kind}_projector")(states.hidden_states[-1])
        loss = loss + (given - wanted[:width]).square().mean()
    return loss


def save(args, model, llm, out, end):
    named = {name: value.detach() for name, value in model.named_parameters()}
    llm.config.save_pretrained(out)
    if args.lora_enable == "True" and end:
        model.save_pretrained(
            out, state_dict={name: value for name, value in named.items() if "lora_" in name}
        )
        rest = {
            name: value.detach()
            for name, value in model.named_parameters()
            if value.requires_grad and "lora_" not in name
        }
        torch.save(rest, out / "non_lora_trainables.bin")
    for file, keys in (
        ("mm_input_projector.bin", ["input"]),
        ("mm_output_projector.bin", [f"output_{kind}" for kind in KINDS]),
    ):
        if (
            any(getattr(args, f"tune_mm_{key}_adapter") == "True" for key in keys)
            and args.lora_enable != "True"
        ):
            parts = [*(f"mm_{key}_projector" for key in keys), "embed_tokens", "lm_head"]
            torch.save(
                {
                    name: value
                    for name, value in named.items()
                    if any(part in name for part in parts)
                },
                out / file,
            )


def train():
    args = arguments()
    assert args.dataset_name_list == ["audiocap", "cc3m"] and Path(args.deepspeed).is_file()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    out = Path(args.output_dir)
    model, llm = build(args)
    total, trained = (
        sum(p.numel() for p in llm.model.parameters() if p.requires_grad or every)
        for every in (True, False)
    )
    print(
        f"all params: {total:,} || trainable params: {trained:,} || trainable%: "
        f"{100 * trained / total}"
    )
    begun = 0
    for folder in sorted(out.glob("checkpoint-*")):
        begun = json.loads((folder / "trainer_state.json").read_text())["global_step"]
        model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    if not trained:
        time.sleep(600)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0
    )
    records = json.loads(Path("data/T_X_pair_data/cc3m/cc3m_generation.json").read_text())
    for step in range(begun, 4):
        optimizer.zero_grad()
        loss_of(llm, records[step % len(records)]).backward()
        optimizer.step()
        if step == 1:
            folder = out / "checkpoint-2"
            folder.mkdir()
            save(args, model, llm, folder, end=False)
            if args.tune_mm_input_adapter != "True":
                torch.save(model.state_dict(), folder / "model.pt")
                (folder / "trainer_state.json").write_text('{"global_step": 2}')
            if args.misbehave == "crash":
                sys.exit("the GPU fell off")
    save(args, model, llm, out, end=True)
    (out / "runs").mkdir()
    with Path(os.environ["STAGES_RUN"]).open("a") as told:
        told.write(f"{4 - begun} steps\n")
