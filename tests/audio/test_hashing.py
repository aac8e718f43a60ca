import hashlib
from pathlib import Path

import numpy as np
import soundfile

from earmark.audio.hashing import audio_sha256


def test_literal() -> None:
    samples = np.array([0.0, 0.5, -1.0, 1.0], dtype=np.float32)
    expected = hashlib.sha256(b"8000:" + bytes.fromhex("0000 0040 0080 ff7f")).hexdigest()
    assert audio_sha256(samples, 8000) == expected


def test_the_rate_counts() -> None:
    samples = np.zeros(10, dtype=np.float32)
    assert audio_sha256(samples, 8000) != audio_sha256(samples, 16000)


def test_wav_and_flac_of_one_take_agree_and_ogg_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    take = np.rint(rng.normal(0, 3000, 40_000)).astype(np.int16)
    hashes = {}
    for suffix in ("wav", "flac", "ogg"):
        path = tmp_path / f"take.{suffix}"
        soundfile.write(path, take.astype(np.float32) / 32768 if suffix == "ogg" else take, 16_000)
        samples, rate = soundfile.read(path, dtype="float32")
        hashes[suffix] = audio_sha256(samples, rate)
    assert hashes["wav"] == hashes["flac"] == audio_sha256(take.astype(np.float32) / 32768, 16_000)
    assert hashes["ogg"] != hashes["wav"]


def test_blocks_make_no_difference() -> None:
    rng = np.random.default_rng(1)
    samples = rng.uniform(-1.2, 1.2, (1 << 20) * 2 + 17).astype(np.float32)
    whole = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype("<i2").tobytes()
    assert audio_sha256(samples, 44_100) == hashlib.sha256(b"44100:" + whole).hexdigest()
