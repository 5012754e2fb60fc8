"""What a model card says because the model is an InternVL."""

from __future__ import annotations

from hubkit.sdk import CardFacts, Vision
from hubkit.sdk.families import server

_LOAD = """def load_image(path):
    \"\"\"Float (tiles, 3, {tile}, {tile}): the grid nearest to the picture's shape.\"\"\"
    picture = Image.open(path).convert("RGB")
    shape, area = picture.width / picture.height, picture.width * picture.height
    grids = [(x, y) for x in range(1, {most} + 1) for y in range(1, {most} + 1)]
    columns, rows, nearest = 1, 1, float("inf")
    for x, y in sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)):
        distance = abs(shape - x / y)
        large = area > 0.5 * {tile} * {tile} * x * y
        if {least} <= x * y <= {most} and (
            distance < nearest or (distance == nearest and large)
        ):
            columns, rows, nearest = x, y, distance
    sheet = picture.resize(({tile} * columns, {tile} * rows), Image.Resampling.BICUBIC)
    corners = [({tile} * x, {tile} * y) for y in range(rows) for x in range(columns)]
    tiles = [sheet.crop((x, y, x + {tile}, y + {tile})) for x, y in corners]
{thumbnail}    pixels = torch.from_numpy(numpy.stack([numpy.asarray(tile) for tile in tiles]))
    mean, std = torch.tensor({mean}), torch.tensor({std})
    return ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
"""
_THUMBNAIL = """    if len(tiles) > 1:
        tiles.append(picture.resize(({tile}, {tile}), Image.Resampling.BICUBIC))
"""
_NATIVE = """```bash
hubkit convert {repository} {repository}-hf --to hf
```

```python
import numpy
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer


{load}

tokenizer = AutoTokenizer.from_pretrained("{repository}-hf")
model = AutoModelForImageTextToText.from_pretrained("{repository}-hf", dtype="auto").eval()
pixels = load_image("picture.png")
picture = "{start}" + "{context}" * ({tokens} * len(pixels)) + "{end}"
inputs = tokenizer.apply_chat_template(
    [{"role": "user", "content": f"{picture}\\nWhat is in this picture?"}],
    add_generation_prompt=True,
    return_dict=True,
    return_tensors="pt",
)
tokens = model.generate(
    **inputs, pixel_values=pixels.to(model.dtype), max_new_tokens=256, do_sample=False
)
print(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```"""
_LMDEPLOY = f"""```python
from lmdeploy import pipeline
from lmdeploy.vl import load_image

pipe = pipeline("{{repository}}")
print(pipe(("What is in this picture?", load_image("picture.png"))).text)
```

{server("LMDeploy")}"""
_CODE = "--trust-remote-code"
"""vLLM and SGLang read InternVL's configuration by the folder's own classes."""
_REMOTE = """{words}

```python
import numpy
import torch
from PIL import Image
from transformers import AutoModel, AutoTokenizer


{load}

tokenizer = AutoTokenizer.from_pretrained("{repository}", trust_remote_code=True)
model = AutoModel.from_pretrained(
    "{repository}", torch_dtype=torch.bfloat16, trust_remote_code=True
).eval()
pixels = load_image("picture.png").to(torch.bfloat16)
settings = {"max_new_tokens": 256, "do_sample": False}
question = "<image>\\nWhat is in this picture?"
answer, history = model.chat(tokenizer, pixels, question, settings, return_history=True)
print(answer)
print(model.chat(tokenizer, pixels, "And what is around it?", settings, history=history))
```"""
_WORDS = {
    "en": (
        "Transformers, without remote code",
        "Transformers, with the model's own code",
        "This runs the Python files of the folder, which are the base model's. InternVL's own work "
        "with transformers 4.37 to 4.51.",
        "SGLang puts a prompt of its own before InternVL's conversations (`internvl-2-5`, with a "
        "system message), so its answers are not those that were measured here.",
    ),
    "zh": (
        "Transformers，不运行远程代码",
        "Transformers，运行模型自带的代码",
        "这会运行文件夹中的 Python 文件，它们与基座模型的相同。InternVL 官方代码适用于 "
        "transformers 4.37 至 4.51。",
        "SGLang 会在 InternVL 的对话之前加上它自带的提示词（`internvl-2-5`，含系统消息），"
        "因此其回答并非此处测得的回答。",
    ),
}
PAPER = """@article{chen2024far,
  title = {How Far Are We to GPT-4V? Closing the Gap to Commercial Multimodal Models with
           Open-Source Suites},
  author = {Chen, Zhe and others},
  journal = {arXiv preprint arXiv:2404.16821},
  year = {2024}
}"""


def card(vision: Vision) -> CardFacts:
    usage = {language: _usage(vision, language) for language in _WORDS}
    return CardFacts(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=("internvl", "custom_code", "vision-language"),
        usage=usage["en"],
        usage_in=usage,
        citation=PAPER,
    )


def _usage(vision: Vision, language: str) -> dict[str, str]:
    native, remote, words, other_prompt = _WORDS[language]
    load = _LOAD.replace("{thumbnail}", _THUMBNAIL if vision.thumbnail else "").rstrip()
    values = {
        "words": words,
        "load": load,
        "tile": vision.tile,
        "most": vision.max_tiles,
        "least": vision.min_tiles,
        "mean": vision.mean,
        "std": vision.std,
        "tokens": vision.tokens_per_tile,
        "start": vision.start,
        "context": vision.context,
        "end": vision.end,
    }
    snippets = {
        native: _NATIVE,
        "LMDeploy": _LMDEPLOY,
        remote: _REMOTE,
        "vLLM": server("vLLM", _CODE),
        "SGLang": f"{other_prompt}\n\n{server('SGLang', _CODE)}",
    }
    for name, value in values.items():
        snippets = {
            title: text.replace(f"{{{name}}}", str(value)) for title, text in snippets.items()
        }
    return snippets
