"""The safetensors format, which the SDK reads and writes."""

from hubkit.sdk.checkpoints.header import (
    BITS,
    MAX_HEADER,
    REMEDY,
    Header,
    TensorInfo,
    build_header,
    read_header,
)

__all__ = ["BITS", "MAX_HEADER", "REMEDY", "Header", "TensorInfo", "build_header", "read_header"]
