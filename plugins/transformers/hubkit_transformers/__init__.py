"""Greedy generation with transformers."""
