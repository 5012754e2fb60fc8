"""What a model card says because the model is an InternVL."""

from __future__ import annotations

from hubkit.sdk import CardFacts

_LMDEPLOY = """```python
from lmdeploy import pipeline
from lmdeploy.vl import load_image

pipe = pipeline("{repository}")
image = load_image("picture.png")
print(pipe(("<image>\\nWhat is in this picture?", image)).text)
```

The picture comes before the text. Serve it with `lmdeploy serve api_server {repository}`."""

_TRANSFORMERS = """```python
import torch
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("{repository}", torch_dtype=torch.bfloat16, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained("{repository}", trust_remote_code=True)

question = "<image>\\nWhat is in this picture?"
# pixel_values: (tiles, 3, {tile}, {tile}), normalised; see "Inference with Transformers" in the InternVL documentation
answer, history = model.chat(tokenizer, pixel_values, question, dict(max_new_tokens=256), history=None, return_history=True)
answer, history = model.chat(tokenizer, pixel_values, "Go on.", dict(max_new_tokens=256), history=history, return_history=True)
```

The remote code is the base model's, unchanged."""  # noqa: E501


def card(tile: int) -> CardFacts:
    return CardFacts(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=("internvl", "custom_code", "vision-language"),
        usage={"LMDeploy": _LMDEPLOY, "Transformers": _TRANSFORMERS.replace("{tile}", str(tile))},
    )
