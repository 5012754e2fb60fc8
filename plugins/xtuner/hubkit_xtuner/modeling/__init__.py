"""InternVL2 for training, with the official parameter names: hubkit's own modules, so that no code
of a model folder is run.

`register()` makes transformers' AutoConfig and AutoModel use them for a config.json of model_type
`internvl_chat`, with torch's attention (`sdpa`) or `eager`.
"""


def register(attention: str = "sdpa") -> None:
    from transformers import AutoConfig, AutoModel

    from .configuration import InternVLConfig
    from .internvl import InternVLModel

    InternVLModel.attention = attention
    AutoConfig.register(InternVLConfig.model_type, InternVLConfig, exist_ok=True)
    AutoModel.register(InternVLConfig, InternVLModel, exist_ok=True)


__all__ = ["register"]
