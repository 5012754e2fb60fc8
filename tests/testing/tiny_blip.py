"""Tiny real models of BLIP-2 and InstructBLIP in the layout of Salesforce's repositories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from runpy import run_path
from typing import Any

from hubkit_blip2 import Blip2, InstructBlip

from hubkit.sdk import Record, Turn
from hubkit.weights.model import open_model

from .tiny_processor import ASK, Kind, make_tokenizer

_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
_QUERIES = 4
_OPT = {
    **{"model_type": "opt", "hidden_size": 64, "word_embed_proj_dim": 64, "ffn_dim": 128},
    **{"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128},
    **{"bos_token_id": 1, "pad_token_id": 0, "dropout": 0.0},
}
_T5 = {
    **{"model_type": "t5", "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2},
    **{"num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    **{"pad_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": 1, "dropout_rate": 0.0},
}
_LLAMA = {
    **{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128},
    **{"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256},
    **{"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "tie_word_embeddings": False},
}


def _config(name: str, text: Mapping[str, Any]) -> dict[str, Any]:
    model, prefix = ("blip-2", "blip_2") if name == "Blip2" else ("instructblip", "instructblip")
    return {
        "architectures": [f"{name}ForConditionalGeneration"],
        **{"model_type": model, "num_query_tokens": _QUERIES, "text_config": dict(text)},
        "qformer_config": {
            **{"model_type": f"{prefix}_qformer", "hidden_size": 32, "intermediate_size": 64},
            **{"num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 320},
            **{"max_position_embeddings": 128, "encoder_hidden_size": 32},
            **{"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        },
        "vision_config": {
            **{"model_type": f"{prefix}_vision_model", "hidden_size": 32, "num_hidden_layers": 2},
            **{"intermediate_size": 64, "num_attention_heads": 2, "image_size": 28},
            **{"patch_size": 7, "initializer_range": 0.02},
        },
    }


def _processor(name: str) -> dict[str, Any]:
    return {
        "preprocessor_config.json": {
            "image_processor_type": "BlipImageProcessor",
            "processor_class": name,
            **{"size": {"height": 28, "width": 28}, "image_mean": _MEAN, "image_std": _STD},
        },
        "processor_config.json": {"processor_class": name, "num_query_tokens": _QUERIES},
    }


def _lines_end(out: Path, ids: Mapping[str, int]) -> None:
    """An answer ends with the line, as BLIP-2's OPT was trained, and not with the tokenizer's
    end."""
    _without_template(out, ids)
    line = ids["Ċ"]
    config = json.loads((out / "config.json").read_text("utf-8"))
    config["text_config"]["eos_token_id"] = line
    (out / "config.json").write_text(json.dumps(config), "utf-8")
    stops = {"eos_token_id": line, "pad_token_id": 0}
    (out / "generation_config.json").write_text(json.dumps(stops), "utf-8")


def _without_template(out: Path, ids: Mapping[str, int]) -> None:
    path = out / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    del settings["chat_template"]
    path.write_text(json.dumps(settings), "utf-8")


def _two_tokenizers(out: Path, ids: Mapping[str, int]) -> None:
    _without_template(out, ids)
    own = out / "qformer_tokenizer"
    own.mkdir()
    bert = replace(BLIP_OPT, special=("[PAD]", "[CLS]", "[SEP]"), around="[CLS] $A [SEP]")
    make_tokenizer(bert, own / "tokenizer.json")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (own / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


BLIP_OPT = Kind(
    config=_config("Blip2", _OPT),
    special=("<pad>", "</s>", "<image>"),
    files=_processor("Blip2Processor"),
    template="",
    published={},
    image_key="image_token_index",
    image="<image>",
    stop="</s>",
    around="</s> $A",
    more=_lines_end,
    untold=Blip2().chat_template,
)
BLIP_T5 = replace(
    BLIP_OPT,
    config=_config("Blip2", _T5),
    around="$A </s>",
    more=_without_template,
    head="apart",
)
INSTRUCT = replace(
    BLIP_OPT,
    config=_config("InstructBlip", _LLAMA),
    special=("<pad>", "</s>", "<s>", "<image>"),
    files=_processor("InstructBlipProcessor"),
    around="<s> $A",
    more=_two_tokenizers,
    untold=InstructBlip().chat_template,
)
INSTRUCT_T5 = replace(
    INSTRUCT,
    config=_config("InstructBlip", _T5),
    around="$A </s>",
    head="apart",
)
BLIPS = {"opt": BLIP_OPT, "t5": BLIP_T5, "vicuna": INSTRUCT, "instruct_t5": INSTRUCT_T5}


def single(kind: Kind) -> list[Record]:
    """Records with one picture in the first prompt; a second turn where the model takes one."""
    ask = f"<image>\n{ASK}"
    later = (Turn(ask, "red"), Turn("And the right one?", "blue"))
    return [
        Record("one", ("0.png",), (Turn(ask, "red"),)),
        Record("two", ("1.png",), (Turn("<image>\nDescribe it, and say more.", "red and blue"),)),
        *([Record("later", ("3.png",), later)] if not kind.head else []),
    ]


def run_card(training: Any, record: Record, place: Path) -> None:
    """The code on the card runs, and gives the model what training gives it for the first prompt of
    this record, which asks what the card is made to ask."""
    from hubkit_peft.checked import open_encoder

    model = open_model(training.base)
    code = model.family.card(model.config).usage["Transformers"].strip("`")
    code = code.removeprefix("python\n").replace("{repository}", str(training.native))
    code = code.replace("picture.png", str(training.images / record.images[0]))
    code = code.replace("What is in this picture?", ASK).replace("tokens=64", "tokens=4")
    (place / "card.py").write_text(code, "utf-8")
    done = run_path(str(place / "card.py"))
    encoder = open_encoder(training)
    given, (text, _, digest) = done["given"], encoder.prompt(record)
    assert done["text"] == text
    own = encoder.processor.inputs(text, encoder.pixels(record), begins=True)
    assert own.digest() == digest and own.ids == tuple(given["input_ids"][0].tolist())
    for name, tensor in own.pictures.items():
        assert tensor.equal(given[name]), name
