"""Reading a pickle without running it: every callable it names is one of the few inert ones below,
or the file is refused.

What a checkpoint stores beside its tensors (numpy scalars, mmengine's log buffers) becomes an empty
placeholder. Nothing of torch, numpy or mmengine is imported or called.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, NoReturn

from ..errors import WeightsError

STORAGES: Mapping[str, str] = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""torch's storage classes and the safetensors name of what they hold."""

_PLACEHOLDERS = frozenset(
    {
        *(
            ("torch", name)
            for name in (
                "Size",
                "device",
                "dtype",
                "float32",
                "float16",
                "bfloat16",
                "float64",
                "int64",
            )
        ),
        *(
            (f"numpy.{core}.multiarray", name)
            for core in ("core", "_core")
            for name in ("scalar", "_reconstruct")
        ),
        *(("numpy", name) for name in ("dtype", "ndarray")),
        *((module, name) for module in ("builtins", "__builtin__") for name in ("set", "getattr")),
        ("_codecs", "encode"),
        ("collections", "deque"),
        ("mmengine.logging.history_buffer", "HistoryBuffer"),
    }
)
"""Globals of xtuner's, mmengine's and DeepSpeed's checkpoints whose values do not matter here.
(mmengine 0.10's HistoryBuffer stores its own methods as `getattr(HistoryBuffer, "min")`; here that
call, too, gives a placeholder.)"""

_REMEDY = "do not load this file with torch; ask for the adapter as safetensors"


@dataclass(frozen=True)
class Storage:
    """A record of the archive: `size` elements of `dtype`."""

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in its storage; `offset` and `stride` count elements. `trainable` is a
    parameter's requires_grad when it was saved, None for a tensor that is no parameter."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    trainable: bool | None = None


class _Inert:
    """Takes part in any pickle operation and keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...


class _Mapping(dict[Any, Any]):
    """An OrderedDict without its attributes (a state_dict carries `_metadata`)."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None: ...


class _Call:
    """A callable without attributes to set, so that a pickle cannot change it for the next one."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError("the pickle changes a function")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("the pickle changes a function")


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    whole = all(type(n) is int and n >= 0 for n in (offset, *shape, *stride))
    if not isinstance(storage, Storage) or not whole or len(shape) != len(stride):
        raise pickle.UnpicklingError("a tensor is described in an impossible way")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: Any, requires_grad: Any = None, *_: Any) -> Any:
    return (
        replace(data, trainable=requires_grad)
        if isinstance(data, StoredTensor) and type(requires_grad) is bool
        else data
    )


class _Reader(pickle._Unpickler):
    """The unpickler that is written in Python: the one in C sets aside memory for whatever memo
    index the file names."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        super().__init__(file, encoding="utf-8")
        self._where = where
        self._known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _Call(_tensor),
            ("torch._utils", "_rebuild_tensor"): _Call(_tensor),
            ("torch._utils", "_rebuild_parameter"): _Call(_parameter),
            ("torch._utils", "_rebuild_parameter_with_state"): _Call(_parameter),
            ("collections", "OrderedDict"): _Call(_Mapping),
            ("collections", "defaultdict"): _Call(lambda *_: _Mapping()),
            **{("torch", name): name for name in STORAGES},
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._known:
            return self._known[module, name]
        if (module, name) in _PLACEHOLDERS:
            return self._known.setdefault(
                (module, name), type("Inert", (_Inert,), {"__slots__": ()})
            )
        raise WeightsError(
            f"{self._where} holds {module}.{name}, which has no place in a checkpoint; nothing was "
            "run",
            _REMEDY,
        )

    def persistent_load(self, entry: Any) -> Storage:
        """torch's reference to a record of the archive: ("storage", class, key, device, number of
        elements)."""
        match entry:
            case ("storage", str(kind), str(key), str(), int(size)) if (
                kind in STORAGES and size >= 0
            ):
                return Storage(key, STORAGES[kind], size)
        raise pickle.UnpicklingError("a storage is described in an impossible way")


def unpickle(file: BinaryIO, where: str) -> Any:
    """The pickle's dicts, lists, numbers and texts, with StoredTensor for each tensor.

    Raises:
        WeightsError: a global outside the allow-list, by name, or no sound pickle.
    """
    try:
        return _Reader(file, where).load()
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{where} is not a sound pickle ({type(error).__name__}: {error})", _REMEDY
        ) from None
