"""LoRA training with transformers' own model classes and PEFT, as a hubkit trainer."""

from .trainer import PeftTrainer

__all__ = ["PeftTrainer"]
