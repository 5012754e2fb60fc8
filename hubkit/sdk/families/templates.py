"""Chat templates between the two forms of a message: one text, or a list of parts (text, image)."""

from __future__ import annotations

LISTED = """\
{%- set listed = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- if message['content'] is string -%}
    {%- set parts = [{'type': 'text', 'text': message['content']}] -%}
    {%- set listed.messages = listed.messages + [{'role': message['role'], 'content': parts}] -%}
  {%- else -%}
    {%- set listed.messages = listed.messages + [message] -%}
  {%- endif -%}
{%- endfor -%}
{%- set messages = listed.messages %}"""
"""Before a template that takes lists only: every text becomes a list of one part."""

FLATTEN = """\
{%- set plain = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- set joined = namespace(text='') -%}
  {%- if message['content'] is string -%}
    {%- set joined.text = message['content'] -%}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'image' -%}
        {%- set joined.text = joined.text + 'IMAGE_TOKEN\\n' -%}
      {%- elif part['type'] == 'text' -%}
        {%- set joined.text = joined.text + part['text'] -%}
      {%- else -%}
        {{- raise_exception('a message holds text and images, not ' + part['type']) -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set plain.messages = plain.messages + [{'role': message['role'], 'content': joined.text}] -%}
{%- endfor -%}
{%- set messages = plain.messages %}"""
"""Before a template that takes texts only: an image part becomes the line IMAGE_TOKEN, to be
replaced by the model's own."""

VICUNA = """\
{{- bos_token }}
{%- for message in messages -%}
  {%- if message['role'] == 'assistant' -%}
    {{- ' ' + message['content'] + eos_token -}}
  {%- elif message['role'] == 'system' -%}
    {{- message['content'] + ' ' -}}
  {%- else -%}
    {{- 'USER: ' + message['content'] + ' ASSISTANT:' -}}
  {%- endif -%}
{%- endfor -%}"""
"""The form of Vicuna, for a language model that has no template of its own. Each answer ends with
`eos_token`."""
