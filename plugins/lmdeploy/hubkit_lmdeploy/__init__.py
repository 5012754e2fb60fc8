"""LMDeploy, with TurboMind or its PyTorch engine, as a hubkit engine: greedy generation and an
OpenAI-compatible server."""

from .engine import LmdeployEngine

__all__ = ["LmdeployEngine"]
