"""Any server that speaks OpenAI's chat API (vLLM, SGLang, TGI, LMDeploy, llama.cpp, Ollama), asked
as a hubkit engine.

The address is in OPENAI_BASE_URL and the key, if there is one, in OPENAI_API_KEY. The server must
list the model under the name of its folder, or under the one that `models` gives."""

from .engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
