"""What `catalog add` takes for a copy of a recording that it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from added_sounds import RATE_HZ, added, recordings, sound
from queue_rows import add_person

from earmark.audio.write import convert
from earmark.catalog import adding, copies
from earmark.catalog.copies import look_alikes
from earmark.catalog.database import Catalog, Workspace


def test_the_same_sound_in_another_container_or_coding_is_a_copy(
    workspace: Workspace, catalog: Catalog, tmp_path: Path
):
    first = sound(tmp_path / "a" / "one.wav", 8.0, 1)
    other = sound(tmp_path / "a" / "two.wav", 8.0, 2)
    added(workspace, catalog, first, other)
    (tmp_path / "b").mkdir()
    for suffix in (".flac", ".ogg", ".mp3"):
        convert(first, tmp_path / "b" / f"one{suffix}")
    done = added(workspace, catalog, tmp_path / "b")
    assert sorted(Path(uri).name for uri, _ in done.copies) == ["one.flac", "one.mp3", "one.ogg"]
    rows = {row.name: row for row in recordings(catalog)}
    assert {rows[name].copy_of for name in ("one.flac", "one.mp3", "one.ogg")} == {rows["one.wav"].id}
    assert rows["two.wav"].copy_of is None
    assert rows["one.flac"].audio_sha256 == rows["one.wav"].audio_sha256


def _take(path: Path, tune: int, player: int) -> Path:
    """8 s of a tune by a machine that begins each partial where it likes: one spectrogram, another waveform."""
    notes, own = np.random.default_rng(tune), np.random.default_rng(player)
    samples, t, rise = np.zeros(8 * RATE_HZ), np.arange(1600) / RATE_HZ, np.hanning(1600)
    for start in range(0, len(samples) - 1599, 800):
        pitch = 220 * 2 ** (notes.integers(0, 24) / 12)
        for k in range(1, 9):
            if k * pitch < 3600:
                samples[start : start + 1600] += rise * np.sin(2 * np.pi * (k * pitch * t + own.random())) / k
    soundfile.write(path, 0.1 * samples + 1e-4 * own.standard_normal(len(samples)), RATE_HZ)
    return path


def test_two_takes_of_one_tune_look_alike_and_are_no_copies(workspace: Workspace, catalog: Catalog, tmp_path: Path):
    first, second = _take(tmp_path / "a.wav", 7, 1), _take(tmp_path / "b.wav", 7, 2)
    convert(first, tmp_path / "a.ogg")
    assert added(workspace, catalog, first, second).copies == []
    words = np.frombuffer(recordings(catalog)[1].fingerprint, dtype="<u4").astype(np.uint32)
    with catalog.read() as connection:
        assert [Path(one.uri).name for one in look_alikes(connection, words)] == ["b.wav", "a.wav"]
    done = added(workspace, catalog, tmp_path / "a.ogg")
    assert [tuple(Path(uri).name for uri in pair) for pair in done.copies] == [("a.ogg", "a.wav")]
    assert done.unheard == []


def test_a_copy_whose_original_is_gone_is_one_by_its_fingerprint_and_said_to_be_unheard(
    workspace: Workspace, catalog: Catalog, tmp_path: Path
):
    first = sound(tmp_path / "one.wav", 8.0, 1)
    added(workspace, catalog, first)
    convert(first, tmp_path / "one.mp3")
    first.unlink()
    done = added(workspace, catalog, tmp_path / "one.mp3")
    assert [Path(uri).name for pair in done.copies for uri in pair] == ["one.mp3", "one.wav"]
    assert len(done.unheard) == 1
    assert "one.wav, whose file is gone: it is taken for a copy unheard" in done.unheard[0]


def test_what_is_listened_to_is_not_within_a_transaction(
    workspace: Workspace, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = sound(tmp_path / "one.wav", 8.0, 1)
    added(workspace, catalog, first)
    convert(first, tmp_path / "one.mp3")
    heard = []

    def listen(*arguments, **options):
        with workspace.catalog() as other:  # would wait for the end of a transaction that writes
            add_person(other, "ann")
        heard.append(copies.listen(*arguments, **options))
        return heard[-1]

    monkeypatch.setattr(adding, "listen", listen)
    done = added(workspace, catalog, tmp_path / "one.mp3")
    assert len(done.copies) == 1
    (agreements,) = heard
    assert all(value > 0.9 for value in agreements.values())
