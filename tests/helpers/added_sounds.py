"""Sounds to add to a catalog, adding them, and looking at what was recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import sqlalchemy as sa

from earmark.catalog.adding import Added, add
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.tables import Recording

RATE_HZ = 8000


def sound(path: Path, seconds: float, seed: int, *, channels: int = 1) -> Path:
    """Notes of an instrument of its own: what a fingerprint can tell apart."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    pitch = 220 * 2 ** (rng.integers(0, 24, n // 1000 + 1) / 12)
    phase = 2 * np.pi * np.cumsum(np.repeat(pitch, 1000)[:n]) / RATE_HZ
    samples = sum(np.sin(k * phase) / k for k in range(1, 6)) * (0.6 + 0.4 * np.sin(9 * t))
    samples = 0.1 * samples + 0.01 * rng.standard_normal(n)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([samples] * channels, axis=1), RATE_HZ)
    return path


def added(workspace: Workspace, catalog: Catalog, *paths: Path, **options) -> Added:
    return add(workspace, catalog, paths, workers=2, timeout_s=60, **options)


def recordings(catalog: Catalog) -> list[sa.Row]:
    with catalog.read() as connection:
        return connection.execute(sa.select(Recording.__table__).order_by(Recording.name)).all()
