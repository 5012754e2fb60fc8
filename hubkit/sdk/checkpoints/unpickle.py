"""Reading a pickle without running it: every callable it names is one of the few inert ones below,
or the file is refused. Its steps are counted, and no key is one that takes long to hash.

What a checkpoint stores beside its tensors (numpy scalars, mmengine's log buffers) becomes an empty
placeholder. Nothing of torch, numpy or mmengine is imported or called.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, NoReturn, TypeGuard

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
                "Tensor",
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
        *(("deepspeed.runtime.fp16.loss_scaler", f"{kind}LossScaler") for kind in ("", "Dynamic")),
        ("deepspeed.runtime.zero.config", "ZeroStageEnum"),
    }
)
"""Globals of xtuner's, mmengine's and DeepSpeed's checkpoints whose values do not matter here.
(mmengine 0.10's HistoryBuffer stores its own methods as `getattr(HistoryBuffer, "min")`; here that
call, too, gives a placeholder.)"""

_MAX_STEPS = 1_000_000
"""Opcodes: 30 a tensor."""
_MAX_DIMENSIONS = 64
_LARGEST = 1 << 63
_PLAIN = (str, bytes, int, float, bool, type(None))

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
    if not isinstance(storage, Storage) or not _sizes(shape) or not _sizes(stride):
        raise pickle.UnpicklingError("a tensor is described in an impossible way")
    if not _sizes((offset,)) or len(shape) != len(stride) or math.prod(shape) >= _LARGEST:
        raise pickle.UnpicklingError("a tensor is described in an impossible way")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _sizes(value: Any) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, (tuple, list))
        and len(value) <= _MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n < _LARGEST for n in value)
    )


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not _sizes(sizes):
        raise pickle.UnpicklingError("a size is described in an impossible way")
    return tuple(sizes)


def _from_type(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A tensor that had attributes of its own, as DeepSpeed gives some."""
    if not isinstance(function, _Call) or not isinstance(arguments, tuple):
        raise pickle.UnpicklingError("a tensor is described in an impossible way")
    return function(*arguments)


def _parameter(data: Any, requires_grad: Any = None, *_: Any) -> Any:
    return (
        replace(data, trainable=requires_grad)
        if isinstance(data, StoredTensor) and type(requires_grad) is bool
        else data
    )


_KEYS: Mapping[int, Callable[[list[Any]], list[Any]]] = {
    pickle.SETITEM[0]: lambda stack: stack[-2:-1],
    **dict.fromkeys((pickle.SETITEMS[0], pickle.DICT[0]), lambda stack: stack[::2]),
    **dict.fromkeys((pickle.ADDITEMS[0], pickle.FROZENSET[0]), lambda stack: stack),
}
"""What an opcode is going to hash, of what lies on the stack."""


def _check_keys(keys: Iterable[Any]) -> None:
    """A tuple of tuples of tuples takes two to the power of its depth steps to hash."""
    for key in keys:
        parts = key if type(key) is tuple else (key,)
        if not all(isinstance(part, _PLAIN) for part in parts):
            raise pickle.UnpicklingError("a key is neither a text nor a number nor a tuple of them")


class _Steps(dict[int, Any]):
    """The unpickler's table of opcodes, which counts what is looked up and checks what it is to
    work on."""

    def __init__(self, reader: Any) -> None:
        super().__init__(reader.dispatch)
        self._reader, self._left = reader, _MAX_STEPS

    def __getitem__(self, opcode: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError(f"it has more than {_MAX_STEPS:,} steps")
        if opcode in _KEYS:
            _check_keys(_KEYS[opcode](self._reader.stack))
        elif opcode == pickle.BUILD[0] and isinstance(
            self._reader.stack[-2], (StoredTensor, Storage)
        ):
            raise pickle.UnpicklingError("the pickle changes a tensor after it was made")
        return super().__getitem__(opcode)


class _Reader(pickle._Unpickler):
    """The unpickler that is written in Python: the one in C sets aside memory for whatever memo
    index the file names."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        super().__init__(file, encoding="utf-8")
        self.dispatch = _Steps(self)  # type: ignore[misc]
        self._where = where
        self._known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _Call(_tensor),
            ("torch._utils", "_rebuild_tensor"): _Call(_tensor),
            ("torch._utils", "_rebuild_parameter"): _Call(_parameter),
            ("torch._utils", "_rebuild_parameter_with_state"): _Call(_parameter),
            ("torch._tensor", "_rebuild_from_type_v2"): _Call(_from_type),
            ("torch", "Size"): _Call(_size),
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
            f"{self._where} holds {module[:100]}.{name[:100]}, which has no place in a checkpoint; "
            "nothing was run",
            _REMEDY,
        )

    def persistent_load(self, entry: Any) -> Storage:
        """torch's reference to a record of the archive: ("storage", class, key, device, number of
        elements)."""
        match entry:
            case ("storage", str(kind), str(key), str(), int(size)) if (
                kind in STORAGES and 0 <= size < _LARGEST
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
        reason = f"{type(error).__name__}: {error}"[:300]
        raise WeightsError(f"{where} is not a sound pickle ({reason})", _REMEDY) from None
