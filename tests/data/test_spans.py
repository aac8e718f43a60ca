"""Clips cut out of one recording: the same ones whether it was read at once or in blocks, and no more memory."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from encoded_sounds import sound, wav_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.hashing import audio_sha256
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.data import decode
from earmark.data.prepare import prepare
from earmark.data.spans import _cut, _Cutter, decode_spans
from earmark.errors import AudioError
from earmark.layouts import read as read_layout

RATE, SECONDS = 11025, 30.0
SAMPLES = sound(SECONDS, RATE)
AT_8K = resample(SAMPLES, RATE, 8000)
NAN = math.nan

edges = st.one_of(st.just(NAN), st.floats(0.0, 1.3 * SECONDS))
some_spans = st.lists(st.tuples(edges, edges).filter(lambda span: not span[1] <= span[0]), min_size=1, max_size=8)


@given(some_spans, st.lists(st.integers(1, 200_000), min_size=1, max_size=6), st.sampled_from([8000, RATE]))
@settings(max_examples=60, deadline=None)
def test_any_spans_of_any_blocks_are_slices_of_the_whole(
    spans: list[tuple[float, float]], lengths: list[int], to_hz: int
) -> None:
    cuts = np.cumsum(lengths)
    blocks = np.split(SAMPLES, cuts[cuts < len(SAMPLES)])
    found = _cut("x.wav", blocks, RATE, to_hz, _Cutter(spans, to_hz))
    whole = AT_8K if to_hz == 8000 else SAMPLES
    assert (found.audio_sha256, found.duration_s) == (audio_sha256(SAMPLES, RATE), SECONDS)
    for (start_s, stop_s), start, clip in zip(spans, found.starts, found.clips, strict=True):
        first = 0 if math.isnan(start_s) else int(start_s * to_hz + 0.5)
        stop = len(whole) if math.isnan(stop_s) else int(stop_s * to_hz + 0.5)
        expected = whole[first:stop]
        assert start == first
        assert (clip is None) == (len(expected) == 0)
        if clip is not None:
            assert len(clip) == len(expected)
            assert np.abs(clip - expected).max() < (1e-6 if to_hz == 8000 else 1e-30)


@pytest.mark.parametrize("to_hz", [8000, RATE])
def test_a_long_file_gives_the_clips_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_hz: int
) -> None:
    path = tmp_path / "x.flac"
    write(path, np.tile(SAMPLES, 4), RATE)
    spans = [(100.0, 119.0), (NAN, NAN), (0.0, 2.0), (119.0, 130.0), (130.0, NAN)]
    whole = decode_spans(str(path), spans, to_hz)
    assert path.stat().st_size > decode.WHOLE_FILE_BYTES
    monkeypatch.setattr(decode, "WHOLE_FILE_S", 60.0)
    blocks = decode_spans(str(path), spans, to_hz)
    assert [None if clip is None else len(clip) / to_hz for clip in whole.clips] == [19.0, 120.0, 2.0, 1.0, None]
    assert blocks[1:] == whole[1:]
    for one, other in zip(whole.clips[:4], blocks.clips[:4], strict=True):
        assert one is not None
        assert other is not None
        assert np.abs(one - other).max() < 1e-6
    assert (blocks.audio_sha256, blocks.duration_s) == (audio_sha256(read(path).samples, RATE), 120.0)


def test_it_refuses_what_training_refuses(tmp_path: Path) -> None:
    """A tone above half of the rate asked for is no use there, and one rule says so to both."""
    tone = 0.5 * np.hanning(44100) * np.sin(0.9 * np.pi * np.arange(44100))
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        write(tmp_path / "data" / label / "x.wav", tone, 44100, subtype="FLOAT")
    prepared = prepare(
        read_layout(tmp_path / "data"), sample_rate_hz=8000, cache_dir=tmp_path / "cache", workers=1, timeout_s=60
    )
    assert [refused.reason for refused in prepared.quarantine] == ["silent", "silent"]
    with pytest.raises(AudioError, match="lies above half of it") as caught:
        decode_spans(str(tmp_path / "data/a/x.wav"), [(0.0, 1.0)], 8000)
    assert caught.value.reason == "silent"
    with pytest.raises(AudioError) as caught:
        decode_spans(str(tmp_path / "absent.wav"), [(0.0, 1.0)], 8000)
    assert caught.value.reason == "missing"


# VmHWM, not ru_maxrss: that one begins at the memory of the process that started this one
MEMORY = """
import re, sys
from pathlib import Path
path, spans = sys.argv[1], ((float(sys.argv[2]) - 2.0, float("nan")), (1.0, 2.0))
"""
PEAK = """
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
CLIPS = """
from earmark.evaluation.decode import ClipTask, decode_clips
clip = decode_clips(ClipTask(path, spans, 8000)).clips[0]
assert len(clip) == 16000 and abs(clip[4000:-4000]).max() > 0.4
"""
PICTURES = """
from earmark.features.spec import FeatureSpec
from earmark.reports.picture_worker import PictureTask, pictures
found = pictures(PictureTask(path, spans, FeatureSpec(sample_rate_hz=8000, clip_s=1.0, fmax_hz=4000.0)))
assert [len(windows) for windows in found] == [2, 1]
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak of memory")
@pytest.mark.parametrize("work", [CLIPS, PICTURES])
def test_clips_of_an_hour_take_no_more_memory_than_of_a_quarter(tmp_path: Path, work: str) -> None:
    """Silence that takes no room on the disk, and 2 s of a tone at its end."""
    rate, peaks = 16000, []
    code = MEMORY + work + PEAK
    for minutes in (15, 60):
        path, seconds = tmp_path / f"{minutes}.wav", 60 * minutes
        with path.open("wb") as file:
            pcm = {"tag": 1, "channels": 1, "rate": rate, "align": 2, "bits": 16}
            file.write(wav_bytes(b"", claimed=2 * rate * seconds, **pcm))
            file.seek(2 * rate * (seconds - 2), 1)
            file.write((16384 * np.sin(0.2 * np.arange(2 * rate))).astype("<i2").tobytes())
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(seconds)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0], peaks
