"""Ollama's Modelfile."""

from __future__ import annotations

_SAMPLE = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
]
_CHATML = (
    "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in _SAMPLE)
    + "<|im_start|>assistant\n"
)
_TEMPLATE = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)


def modelfile(model: str, mmproj: str, template: str, bos: str) -> str:
    """With a TEMPLATE where the chat template is ChatML; Ollama reads others from the GGUF."""
    lines = [f"FROM ./{model}", f"FROM ./{mmproj}"]
    if (before := _before_chatml(template, bos)) is not None:
        lines += [f'TEMPLATE """{before}{_TEMPLATE}"""', 'PARAMETER stop "<|im_end|>"']
    return "\n".join([*lines, "PARAMETER temperature 0", ""])


def _before_chatml(template: str, bos: str) -> str | None:
    """What the template puts before ChatML; None when it writes something else."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        made = ImmutableSandboxedEnvironment().from_string(template)
        text = str(made.render(messages=_SAMPLE, add_generation_prompt=True, bos_token=bos))
    except (TemplateError, TypeError, ValueError):
        return None
    before = text.removesuffix(_CHATML)
    return before if text.endswith(_CHATML) and before in ("", bos) else None
