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

HASHES = ("##", "###", "▁###")
"""Vicuna v0 ends an answer with `###`, which Llama's tokenizer writes as `##` and `#` after a word:
an answer ends with the first of these that its tokenizer has."""
_MINIGPT4 = """\
{{- bos_token + 'Give the following image: <Img>ImageContent</Img>. You will be able to see the \
image once I provide it to you. Please answer my questions.###' -}}
{%- for message in messages -%}
  {%- set said = namespace(text='') -%}
  {%- if message['content'] is string -%}
    {%- set said.text = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'image' -%}
        {%- set said.text = said.text + '<Img>' + 'MARK' * COUNT + '</Img> ' -%}
      {%- else -%}
        {%- set said.text = said.text + part['text'] -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {{- ' ' + said.text + '###' -}}
  {%- elif message['role'] == 'system' -%}
    {{- said.text + '###' -}}
  {%- else -%}
    {{- 'Human: ' + said.text + '###Assistant:' -}}
  {%- endif -%}
{%- endfor -%}
"""


def minigpt4(mark: str, count: int) -> str:
    """The form of MiniGPT-4's demo (CONV_VISION_Vicuna0), a picture as `count` marks in its
    place."""
    return _MINIGPT4.replace("MARK", mark).replace("COUNT", str(count))
