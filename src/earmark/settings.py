"""The only reader of the environment. A value that makes no sense stops the command; nothing falls back silently."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import InputError


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes:

    cache_dir: where prepared audio is kept (EARMARK_CACHE_DIR, else XDG_CACHE_HOME/earmark, else ~/.cache/earmark).
    workers: processes that decode (EARMARK_WORKERS, else the cores this process may use).
    decode_timeout_s: how long one file may take before it is quarantined as timed out (EARMARK_DECODE_TIMEOUT).
    database_url: of the catalog, where it is not in its workspace: postgresql://... (EARMARK_DATABASE_URL).
    """

    cache_dir: Path
    workers: int
    decode_timeout_s: float
    database_url: str | None = None


def usable_cores() -> int:
    """Cores that this process may run on, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _positive(env: Mapping[str, str], name: str, default: float, *, whole: bool) -> float:
    text = env.get(name)
    if text is None:
        return default
    try:
        value = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        value = -1.0
    if not 0 < value < math.inf:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name}={text!r}: expected {kind} above 0; change it or unset it.")
    return value


def check_seconds(name: str, value: float) -> float:
    """`value` where it can be a time limit: finite and above 0; else InputError says so of `name`."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {value:g}: expected seconds, a finite number above 0.")
    return value


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Settings from `env` (default: the process's environment)."""
    env = os.environ if env is None else env
    if "EARMARK_CACHE_DIR" in env:
        if not env["EARMARK_CACHE_DIR"].strip():
            raise InputError("EARMARK_CACHE_DIR is empty: expected a folder; name one or unset it.")
        cache_dir = Path(env["EARMARK_CACHE_DIR"]).expanduser()
    else:
        base = env.get("XDG_CACHE_HOME")
        cache_dir = (Path(base) if base else Path(env.get("HOME", "~")).expanduser() / ".cache") / "earmark"
    if "EARMARK_DATABASE_URL" in env and not env["EARMARK_DATABASE_URL"].strip():
        raise InputError("EARMARK_DATABASE_URL is empty: expected postgresql://USER@HOST/NAME; give one or unset it.")
    return Settings(
        cache_dir=cache_dir,
        workers=int(_positive(env, "EARMARK_WORKERS", usable_cores(), whole=True)),
        decode_timeout_s=_positive(env, "EARMARK_DECODE_TIMEOUT", 60.0, whole=False),
        database_url=env.get("EARMARK_DATABASE_URL"),
    )


def limit_native_threads(threads: int | None = None) -> None:
    """Keep OpenMP pools from spinning against each other; call before torch or onnxruntime is imported.

    A spinning OpenMP worker (the default wait policy) slows a busy machine 10-30 times, so waiting is passive unless
    the user has said otherwise. A worker that sleeps at once has to be woken for each of the hundreds of operations of
    a training step, though, a tenth of its time; so it spins for some microseconds first.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # of GNU's OpenMP, which torch's wheels bring; others ignore it
    os.environ.setdefault("OMP_NUM_THREADS", str(threads or usable_cores()))


@functools.cache
def keep_freed_memory(total: int = 2**31 - 1, block: int = 2**30) -> None:
    """Let the C library keep what is freed for the next allocation instead of handing it back to the kernel.

    A clip's or a batch's buffers are just large enough for glibc to map and unmap them anew each time, and touching
    fresh pages then costs a fifth of the decoding and as much as all augmentation. Only glibc has such a switch
    (mallopt(3)); elsewhere nothing happens.

    Args:
        total: how many bytes to keep at most.
        block: the largest block that comes from what is kept, in bytes.
    """
    import ctypes  # here, as most commands never need it

    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, block) or mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, which older versions take up to 32 MiB only
        mallopt(-1, total)  # M_TRIM_THRESHOLD
