"""Whether torch can compile here (on a GPU, Triton builds a small C program against Python's
headers), where the result is kept, and an early beginning."""

from __future__ import annotations

import os
import shutil
import sysconfig
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from hubkit.sdk import EnvironmentFailure

from .options import Options

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
REMEDY = "install a compiler and Python's headers (apt install build-essential python3-dev)"


def settle(options: Options, device: str) -> tuple[bool, str]:
    """Whether the fast implementation is compiled; when it is not and would be, why.

    Raises:
        EnvironmentFailure: the options ask for it, and something is missing.
    """
    if (
        not options.fast
        or options.compile is False
        or (options.compile == "auto" and device != "cuda")
    ):
        return False, ""
    missing = lacking(device)
    if missing and options.compile is True:
        raise EnvironmentFailure(
            f"compile: true needs {missing}", f"{REMEDY}, or set compile: auto"
        )
    return (
        not missing,
        f"not compiled, hence slower: that needs {missing}; {REMEDY}" if missing else "",
    )


def remember() -> None:
    """What is compiled is kept for the next training, beside what else hubkit can make again; torch
    files it by its version, Triton's and the GPU. To be called before torch settles on /tmp, which
    it does while it is imported."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("HUBKIT_HOME") or Path(cache) / "hubkit").expanduser().absolute()
    if os.access(next(folder for folder in (home, *home.parents) if folder.exists()), os.W_OK):
        os.environ.setdefault(_CACHE, str(home / "compiled"))


def begin(compiled: bool, device: str) -> None:
    """Does beside what else comes before the first step what that would wait for: a GPU's libraries
    are loaded, the compiler is imported, and its processes start, which kernels are otherwise not
    compiled in until some seconds later."""
    if device == "cuda":
        import torch

        place = f"cuda:{torch.cuda.current_device()}"
        Thread(target=_begin, args=(compiled, place), daemon=True).start()


def _begin(compiled: bool, place: str) -> None:
    import torch

    heads = torch.zeros((1, 1, 64, 64), device=place, dtype=torch.bfloat16)
    torch.nn.functional.scaled_dot_product_attention(heads @ heads, heads, heads)
    if compiled:
        with suppress(ImportError):  # a private name: without it, all is as it was
            from torch._inductor.async_compile import maybe_warm_pool

            import_module("torch._inductor.compile_fx")
            maybe_warm_pool()


def lacking(device: str) -> str:
    """What torch.compile needs and this machine has not; empty when it has all."""
    if device != "cuda":
        return "" if shutil.which(os.environ.get("CXX", "g++")) else "a C++ compiler"
    if find_spec("triton") is None:
        return "Triton"
    named = os.environ.get("CC")
    if not any(shutil.which(name) for name in ([named] if named else ("gcc", "clang"))):
        return "a C compiler"
    places = (
        sysconfig.get_paths()["include"],
        sysconfig.get_config_var("INCLUDEPY"),
    )  # Debian's own Python has them in the second
    return "" if any(Path(place, "Python.h").is_file() for place in places if place) else "Python.h"
