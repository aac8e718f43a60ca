"""doctor: what it says is there, is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earmark.explore.machine import check_up
from earmark.settings import Settings


def test_a_checkup_names_versions_formats_and_speed(tmp_path: Path) -> None:
    found = check_up(Settings(cache_dir=tmp_path / "none", workers=1, decode_timeout_s=1.0))
    assert found.versions["numpy"] == np.__version__
    assert {"python", "earmark", "soundfile", "libsndfile", "libavcodec", "onnxruntime"} <= set(found.versions)
    assert set(found.formats) == {"wav", "flac", "aiff", "mp3", "ogg", "opus", "m4a", "webm", "wma"}
    assert found.broken == []
    assert found.cores >= 1
    assert found.decode_x > 1
    assert (found.cache_bytes, found.cache_free_bytes > 0) == (0, True)
    assert "real time" in found.speed
    assert not (tmp_path / "none").exists()


def test_a_damaged_cache_is_told_and_fails_nothing(tmp_path: Path) -> None:
    store = tmp_path / "audio" / "8000"
    store.mkdir(parents=True)
    (store / "index.parquet").write_bytes(b"no table")
    found = check_up(Settings(cache_dir=tmp_path, workers=1, decode_timeout_s=1.0))
    assert "index.parquet: the index of prepared audio cannot be read" in found.cache_trouble
    assert found.formats["ogg"] == ""
