"""How pip is called, and what its failures mean."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hubkit.sdk import EnvironmentFailure

from .environment import allowed
from .verdict import shown

PASSED_TO_PIP = {
    *(
        f"PIP_{word}"
        for word in (
            "INDEX_URL",
            "EXTRA_INDEX_URL",
            "FIND_LINKS",
            "NO_INDEX",
            "TRUSTED_HOST",
            "PROXY",
            "CONFIG_FILE",
        )
    ),
    *(
        f"PIP_{word}"
        for word in (
            "CERT",
            "CLIENT_CERT",
            "CACHE_DIR",
            "NO_CACHE_DIR",
            "DEFAULT_TIMEOUT",
            "TIMEOUT",
            "RETRIES",
        )
    ),
    *(f"{word}_PROXY" for word in ("HTTP", "HTTPS", "ALL", "NO")),
    *(f"{word}_proxy" for word in ("http", "https", "all", "no")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"),
    *(
        "CC",
        "CXX",
        "CFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
        "CPATH",
        "LIBRARY_PATH",
        "MAX_JOBS",
        "TORCH_CUDA_ARCH_LIST",
    ),
}
"""An index's own credentials may be in these; no hub's token is. PIP_TARGET and the like would lead
packages elsewhere."""
FIXED = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}

_NETWORK = (
    r"NewConnectionError|Failed to establish a new connection|NameResolutionError"
    r"|Temporary failure in name resolution|Name or service not known|ConnectTimeoutError"
    r"|ReadTimeoutError|Network is unreachable|Connection refused|ProxyError|ConnectionResetError"
    r"|Connection broken|Max retries exceeded"
)
_COMPILERS = r"(gcc|g\+\+|c\+\+|cc|clang|cmake|ninja|rustc|cargo)"
CAUSES = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "the disk is full",
        "make room, or name a folder on a larger disk in HUBKIT_HOME (and TMPDIR)",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a package is not the file that was locked",
        "fix the index or wheel folder; if the package is right, make the lock again with `hubkit "
        "env lock`",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the index's certificate was not accepted",
        "set PIP_CERT to your proxy's certificate",
    ),
    (
        _NETWORK,
        "the package index cannot be reached",
        "connect, set HTTPS_PROXY or PIP_INDEX_URL to a mirror, or give a folder of wheels with "
        "--find-links and --no-index",
    ),
    (
        r"requires a different Python|Requires-Python"
        r"|Ignored the following versions that require a different python",
        "a package is not for this Python version",
        "make the lock again for this Python with `hubkit env lock`, or name an interpreter of "
        "your own",
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        "there is no such version for this Python and platform",
        "see what there is with `pip index versions NAME`; add the file to the --find-links "
        "folder, or make the lock again",
    ),
    (
        r"CUDA_HOME|nvcc[^\n]*(not found|No such file)",
        "a package wants to compile CUDA code and there is no CUDA toolkit",
        "install the CUDA toolkit and set CUDA_HOME, or lock a version that has a wheel",
    ),
    (
        rf"{_COMPILERS}['\"]? (failed|not found)|unable to execute"
        rf"|No such file or directory: ['\"]?{_COMPILERS}"
        r"|Rust compiler|No CMAKE_C_COMPILER|Python\.h: No such file",
        "a package has no wheel for this machine and there is no compiler that builds it",
        "install a compiler and Python's headers (apt install build-essential python3-dev), or "
        "lock a version that has a wheel",
    ),
    (
        r"Failed (building wheel|to build)|subprocess-exited-with-error|metadata-generation-failed"
        r"|Cannot import 'setuptools",
        "a package does not build here",
        "read the log; lock a version that has a wheel, or add what it needs to an earlier step of "
        "the lock",
    ),
    (r"No module named pip\b", "hubkit's own Python has no pip", "install it: python -m ensurepip"),
    (
        r"Permission denied|Errno 13",
        "a folder is not writable",
        "name a writable folder in HUBKIT_HOME",
    ),
)
_MATTERS = re.compile(r"\b(error|failed|fatal|denied|not found|no space)\b", re.I)
_NOISE = re.compile(
    r"WARNING: Retrying|Looking in|Collecting|Using cached|Downloading|Requirement already"
    r"|\[notice\]"
)
MOST_LINES = 12


def install(
    python: Path, requirements: Path, *, isolated: bool, find_links: Sequence[str], no_index: bool
) -> list[str]:
    """The command that installs exactly what the file `requirements` lists into the environment of
    `python`."""
    more = [] if isolated else ["--no-build-isolation"]
    return [
        *_pip(python),
        "install",
        "--no-deps",
        "--progress-bar",
        "raw",
        "--no-warn-script-location",
        *more,
        *sources(find_links, no_index),
        "-r",
        str(requirements),
    ]


def _pip(python: Path) -> list[str]:
    """hubkit's own pip at work on another interpreter: an environment needs none, and a system's
    Python may lack it."""
    return [sys.executable, "-m", "pip", "--python", str(python)]


def resolve(
    python: Path,
    requirements: Path,
    constraints: Path,
    report: Path,
    *,
    dependencies: bool,
    rest: Sequence[str],
) -> list[str]:
    """The command that writes to `report` what pip would install for `requirements`."""
    more = [] if dependencies else ["--no-deps"]
    return [
        *_pip(python),
        "install",
        "--dry-run",
        "--ignore-installed",
        "--progress-bar",
        "raw",
        "--report",
        str(report),
        "-c",
        str(constraints),
        *more,
        *rest,
        "-r",
        str(requirements),
    ]


def sources(find_links: Sequence[str], no_index: bool) -> list[str]:
    links = [
        part
        for place in find_links
        for part in ("--find-links", str(Path(place).absolute()) if "://" not in place else place)
    ]
    return [*links, *(["--no-index"] if no_index else [])]


def variables(host: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """pip's environment: where the user's packages come from, what compilers need, and no hub's
    token."""
    kept = {name: value for name, value in host.items() if name in PASSED_TO_PIP}
    return {"PATH": os.defpath, **allowed(host), **kept, **FIXED, **more}


def failure(what: str, code: int, log: Path) -> EnvironmentFailure:
    """Why a command of a build ended with `code`, with the lines of its log that matter."""
    text = log.read_text("utf-8", "replace")
    cause, remedy = "", "read the log"
    if code in (-9, 137):
        cause, remedy = (
            "killed, most likely because memory ran out",
            "free memory, or set MAX_JOBS=1 for packages that compile",
        )
    for pattern, means, then in CAUSES:
        if not cause and re.search(pattern, text):
            cause, remedy = means, then
    lines = _lines_that_matter(text)
    return EnvironmentFailure(
        f"{what}: {cause or f'ended with exit code {code}'}{lines}", f"{remedy} ({log})"
    )


def _lines_that_matter(text: str) -> str:
    """The last lines that report an error, and the last line of all, in order."""
    lines = list(
        dict.fromkeys(
            line for line in text.splitlines() if line.strip() and not _NOISE.search(line)
        )
    )
    telling = [number for number, line in enumerate(lines) if _MATTERS.search(line)]
    numbers = sorted({*telling[-(MOST_LINES - 4) :], *range(max(0, len(lines) - 4), len(lines))})
    return (
        "\n" + shown("\n".join(lines[number] for number in numbers))
        if numbers
        else " (its log is empty)"
    )
