"""LoRA and QLoRA training with XTuner (the mmengine line: 0.1.23 and 0.2.0), as a hubkit
trainer."""

from .trainer import XtunerTrainer

__all__ = ["XtunerTrainer"]
