"""LoRA training with transformers and PEFT."""
