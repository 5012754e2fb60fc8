"""The BLIP-2 and InstructBLIP model families as Salesforce publishes them in transformers' own
layout, from tables alone: EVA's vision transformer, a Q-Former, a projection, and OPT, Flan-T5 or
Llama (Vicuna); and MiniGPT-4 with Vicuna, assembled into BLIP-2's class. Their processors put a
picture's positions before the text, or the template writes them out; trainer `peft` and engine
`transformers` run them.
"""

from .family import Blip2
from .instruct import InstructBlip
from .minigpt4 import MiniGPT4

__all__ = ["Blip2", "InstructBlip", "MiniGPT4"]
