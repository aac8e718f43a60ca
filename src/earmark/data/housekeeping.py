"""What `earmark cache` does: all stores of a cache folder, listed, checked, pruned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.data.store import Checked, Pruned, Store, Use
from earmark.data.uses import DataSet
from earmark.errors import InputError
from earmark.types import Progress, Quiet

_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


@dataclass(frozen=True, slots=True)
class Listed:
    """One store: its rate, recordings, hours of sound, bytes on disk, files in quarantine, and who uses it."""

    sample_rate_hz: int
    recordings: int
    hours: float
    bytes_on_disk: int
    quarantined: int
    uses: tuple[Use, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "sample_rate_hz": self.sample_rate_hz,
            "recordings": self.recordings,
            "hours": self.hours,
            "bytes": self.bytes_on_disk,
            "quarantined": self.quarantined,
            "data": [
                {
                    "root": use.root,
                    "name": use.name,
                    "recordings": use.recordings,
                    "bytes": use.bytes,
                    "used_at": use.used_at.isoformat(timespec="seconds"),
                }
                for use in self.uses
            ],
        }


def list_stores(cache_dir: Path) -> list[Listed]:
    """Every store in `cache_dir`, lowest rate first."""
    return [
        Listed(
            sample_rate_hz=store.sample_rate_hz,
            recordings=len(store.entries),
            hours=sum(entry.n_samples for entry in store.entries.values()) / store.sample_rate_hz / 3600,
            bytes_on_disk=store.bytes_on_disk,
            quarantined=sum(1 for file in store.files.values() if file.reason),
            uses=tuple(store.uses()),
        )
        for store in Store.existing(cache_dir)
    ]


def verify_all(cache_dir: Path, progress: Progress | None = None) -> Checked:
    """`Store.verify` of every store, summed."""
    progress = Quiet() if progress is None else progress
    stores = Store.existing(cache_dir)
    progress.start("Verifying", sum(len(store.entries) for store in stores), "recording")
    try:
        checked = [store.verify(progress) for store in stores]
    finally:
        progress.stop()
    return Checked(sum(c.entries for c in checked), sum(c.damaged for c in checked))


def prune_all(cache_dir: Path, *, unused_for_days: float, everything: bool) -> Pruned:
    """`Store.prune` of every store, summed."""
    done = [store.prune(unused_for_days=unused_for_days, everything=everything) for store in Store.existing(cache_dir)]
    return Pruned(
        sum(d.entries_dropped for d in done), sum(d.entries_kept for d in done), sum(d.bytes_freed for d in done)
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What only one data set has in the stores: recordings, and bytes of their samples."""

    recordings: int
    bytes: int


def held_by(cache_dir: Path, path: Path) -> Held | None:
    """What the data folder or manifest file at `path` alone uses; None where nothing was prepared from it."""
    data = DataSet.at(path)
    found = [entries for store in Store.existing(cache_dir) if (entries := store.only_of(data)) is not None]
    if not found:
        return None
    return Held(sum(map(len, found)), sum(2 * entry.n_samples for entries in found for entry in entries))


def prune_data(cache_dir: Path, path: Path) -> Pruned:
    """Drop from every store what only the data folder or manifest file at `path` uses.

    Raises:
        InputError: nothing was prepared from it.
    """
    data = DataSet.at(path)
    stores = Store.existing(cache_dir)
    if all(store.only_of(data) is None for store in stores):
        raise InputError(f"{path}: nothing is prepared from it; `earmark cache list` names the data folders.")
    done = [store.prune(data=data) for store in stores if store.only_of(data) is not None]
    kept = sum(len(store.entries) for store in stores)
    return Pruned(sum(d.entries_dropped for d in done), kept, sum(d.bytes_freed for d in done))


def days_of(age: str) -> float:
    """`30d`, `12h` or `2w` as days; InputError names what was given."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", age.strip().lower())
    if match is None:
        raise InputError(f"--older-than {age!r}: expected a number and h, d or w, such as 30d.")
    return float(match.group(1)) * _DAYS[match.group(2)]


def size_words(n: float) -> str:
    """Bytes as people read them, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
