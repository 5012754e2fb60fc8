"""Chat templates: the published folders have none. No mark stands for the picture, since the
processor puts its positions before all text; the tokenizer adds its own first or last token."""

from __future__ import annotations

_TEMPLATE = """\
{%- for message in messages -%}
  {%- set said = namespace(text='') -%}
  {%- if message['content'] is string -%}
    {%- set said.text = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] if part['type'] == 'text' -%}
      {%- set said.text = said.text + part['text'] -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {{- ' ' + said.text + STOP -}}
  {%- elif message['role'] == 'system' -%}
    {{- said.text + '\\n' -}}
  {%- else -%}
    {{- ASK -}}
  {%- endif -%}
{%- endfor -%}
"""


def template(asked: str, stop: str) -> str:
    """`asked` and `stop` are Jinja: what stands for a question, whose text is `said.text`, and what
    ends an answer."""
    return _TEMPLATE.replace("ASK", asked).replace("STOP", stop)


QUESTION = "'Question: ' + said.text + ' Answer:'"
"""The form of a question in LAVIS's examples of BLIP-2."""
PLAIN = "said.text"
END, LINE = "eos_token", "'\\n'"
"""The stop of Flan-T5 and Vicuna, and the one that BLIP-2's OPT was trained with."""
