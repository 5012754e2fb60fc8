"""What a card says of the servers with OpenAI's API that people run: one command each."""

from __future__ import annotations

_COMMANDS = {
    "vLLM": "vllm serve {repository}",
    "SGLang": "python -m sglang.launch_server --model-path {repository}",
    "LMDeploy": "lmdeploy serve api_server {repository}",
}


def server(program: str, *flags: str) -> str:
    """The Markdown for a program of `vLLM`, `SGLang`, `LMDeploy`; `{repository}` stands for the
    folder."""
    return f"```bash\n{' '.join((_COMMANDS[program], *flags))}\n```"
