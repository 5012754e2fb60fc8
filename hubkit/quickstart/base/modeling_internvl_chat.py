# Copyright the hubkit authors. Licensed under the Apache License, Version 2.0.
"""InternVL2 in its official tensor names, run by transformers' own InternVL (transformers 5).

`from_pretrained` reads the official tensors, renames them, cuts the fused ones, and hands them to
`InternVLForConditionalGeneration`. Made for the small model beside it: an InternViT with LayerNorm and an InternLM2.
"""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import InternVLConfig, InternVLForConditionalGeneration, PreTrainedModel
from transformers.utils import cached_file

from .configuration_internvl_chat import InternVLChatConfig
from .conversation import (IMG_CONTEXT, place_images, render,)

NAMES = (
    (r"^vision_model\.embeddings\.class_embedding", "model.vision_tower.embeddings.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding", "model.vision_tower.embeddings.position_embeddings"),
    (r"^vision_model\.embeddings\.patch_embedding", "model.vision_tower.embeddings.patch_embeddings.projection"),
    (r"^vision_model\.encoder\.layers", "model.vision_tower.encoder.layer"),
    (r"\.ls([12])$", r".lambda_\1"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"^mlp1\.0\.", "model.multi_modal_projector.layer_norm."),
    (r"^mlp1\.1\.", "model.multi_modal_projector.linear_1."),
    (r"^mlp1\.3\.", "model.multi_modal_projector.linear_2."),
    (r"^language_model\.output\.", "lm_head."),
    (r"^language_model\.model\.tok_embeddings\.", "model.language_model.embed_tokens."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"\.attention_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"\.attention\.wo\.", ".self_attn.o_proj."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
)


class InternVLChatModel(PreTrainedModel):
    config_class = InternVLChatConfig
    main_input_name = "pixel_values"

    def __init__(self, config, native=None):
        super().__init__(config)
        self.native = native if native is not None else InternVLForConditionalGeneration(native_config(config))
        self.img_context_token_id = self.native.config.image_token_id
        self.num_image_token = self.native.config.image_seq_length

    @classmethod
    def from_pretrained(cls, path, *args, config=None, dtype=None, torch_dtype=None, **kwargs):
        """`dtype` is "auto" (the file's), a torch.dtype, or its name."""
        hub = {key: kwargs[key] for key in ("revision", "token", "cache_dir", "local_files_only") if kwargs.get(key) is not None}
        config = config or InternVLChatConfig.from_pretrained(path, **hub)
        tensors = load_file(cached_file(path, "model.safetensors", **hub))
        dtype = dtype or torch_dtype or "auto"
        if dtype != "auto":
            dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        tokenizer = json.loads(Path(cached_file(path, "tokenizer.json", **hub)).read_text("utf-8"))
        config.image_token_id = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == IMG_CONTEXT)
        native = InternVLForConditionalGeneration(native_config(config)).to(next(iter(tensors.values())).dtype)
        native.load_state_dict(native_state(tensors, config.llm_config), strict=True)
        model = cls(config, native).eval()
        return (model, {}) if kwargs.get("output_loading_info") else model

    def save_pretrained(self, *args, **kwargs):
        raise NotImplementedError("this class only reads the official layout; `hubkit convert` writes it")

    def forward(self, pixel_values=None, input_ids=None, attention_mask=None, labels=None, **kwargs):
        return self.native(
            input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask, labels=labels, **kwargs
        )

    def generate(self, pixel_values=None, input_ids=None, attention_mask=None, **kwargs):
        """Returns the new tokens only, as InternVL2's own code does."""
        sequences = self.native.generate(
            input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask, **kwargs
        )
        return sequences[:, input_ids.shape[1] :]

    def chat(
        self, tokenizer, pixel_values, question, generation_config, history=None, return_history=False, num_patches_list=None
    ):
        """`pixel_values`: (tiles of all pictures, 3, side, side); `num_patches_list`: the number of tiles of each picture."""
        earlier = list(history or [])
        if num_patches_list is None:
            num_patches_list = [] if pixel_values is None else [len(pixel_values)]
        if num_patches_list and "<image>" not in question and not any("<image>" in asked for asked, _ in earlier):
            question = "<image>\n" * len(num_patches_list) + question
        text = place_images(render(question, earlier), num_patches_list, self.num_image_token)
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False).to(self.native.device)
        stops = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
        settings = {"eos_token_id": stops, "pad_token_id": tokenizer.pad_token_id, **generation_config}
        tokens = self.generate(pixel_values, inputs["input_ids"], inputs["attention_mask"], **settings)
        answer = tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
        return (answer, [*earlier, (question, answer)]) if return_history else answer


def native_config(config):
    vision, text = config.vision_config, config.llm_config
    side = config.force_image_size // vision.patch_size
    text_keys = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act"
    text_keys += " max_position_embeddings rms_norm_eps initializer_range bos_token_id eos_token_id pad_token_id"
    vision_keys = "hidden_size intermediate_size num_hidden_layers num_attention_heads num_channels hidden_act layer_norm_eps"
    vision_keys += " norm_type patch_size image_size initializer_range"
    scaling = dict(text.rope_scaling or {})
    rope = {"rope_theta": getattr(text, "rope_theta", scaling.get("rope_theta", 10000.0)), "rope_type": "default"}
    if scaling.get("factor"):
        rope |= {"rope_type": scaling.get("rope_type") or scaling["type"], "factor": scaling["factor"]}
    return InternVLConfig(
        text_config={key: getattr(text, key) for key in text_keys.split()}
        | {"model_type": "llama", "attention_bias": text.bias, "tie_word_embeddings": False, "rope_parameters": rope},
        vision_config={key: getattr(vision, key) for key in vision_keys.split()}
        | {"attention_bias": vision.qkv_bias, "use_qk_norm": vision.qk_normalization},
        image_token_id=getattr(config, "image_token_id", 0),
        image_seq_length=int(side**2 * config.downsample_ratio**2),
        downsample_ratio=config.downsample_ratio,
        vision_feature_layer=config.select_layer,
        tie_word_embeddings=False,
    )


def native_state(tensors, llm):
    """Official names to transformers' own; `attn.qkv` in thirds, `wqkv` by groups of query heads with their key and value."""
    state = {}
    groups = llm.num_key_value_heads
    per_group = llm.num_attention_heads // groups
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in NAMES:
            new = re.sub(pattern, replacement, new)
        if ".attn.qkv." in new:
            for letter, part in zip("qkv", tensor.chunk(3)):
                state[new.replace("attn.qkv", f"attention.{letter}_proj")] = part.contiguous()
        elif ".attention.wqkv." in new:
            heads = tensor.view(groups, per_group + 2, -1, tensor.shape[-1])
            for letter, part in zip("qkv", heads.split([per_group, 1, 1], dim=1)):
                state[new.replace("attention.wqkv", f"self_attn.{letter}_proj")] = part.reshape(-1, tensor.shape[-1])
        else:
            state[new] = tensor
    return state
