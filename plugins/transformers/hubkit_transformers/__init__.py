"""Greedy generation with transformers' own model classes, as a hubkit engine."""

from .engine import TransformersEngine

__all__ = ["TransformersEngine"]
