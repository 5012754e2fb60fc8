"""The files of PEFT's adapter folders."""

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
