from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.audio.read import probe, read
from earmark.audio.write import convert, write
from earmark.errors import AudioError, EarmarkError, InputError


def chirp(n: int, rate: int) -> np.ndarray:
    t = np.arange(n) / rate
    return (0.4 * np.sin(2 * np.pi * (200 + 20 * t) * t)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "exact"),
    [("x.wav", True), ("x.flac", True), ("x.aiff", True), ("x.mp3", False), ("x.ogg", False), ("x.opus", False)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, exact: bool, channels: int):
    rate = 24000
    mono = chirp(3 * rate, rate)
    samples = mono if channels == 1 else np.stack([mono, 0.5 * mono], axis=1)
    path = tmp_path / name
    write(path, samples, rate)
    back = read(path, mono=False)
    assert back.source_channels == channels
    assert back.samples.shape == (3 * rate, channels)
    difference = back.samples - samples.reshape(-1, channels)
    if exact:
        assert np.abs(difference).max() < 2.0**-14
    else:
        assert np.sqrt(np.mean(difference[1000:-1000] ** 2)) < 0.05
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["long.wav", "long.flac", "long.mp3", "long.ogg"])
def test_twenty_minutes(tmp_path: Path, name: str):
    """2.6 million frames and more in one write crashed libsndfile's OGG encoder."""
    rate = 8000
    samples = np.tile(chirp(60 * rate, rate), 20)
    assert len(samples) == 9_600_000
    write(tmp_path / name, samples, rate)
    back = read(tmp_path / name)
    assert len(back.samples) == len(samples)
    assert np.sqrt(np.mean((back.samples - samples) ** 2)) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long.mp3", "long.ogg", "long.opus"])
def test_twenty_minutes_at_full_rate(tmp_path: Path, name: str):
    rate = 48000
    write(tmp_path / name, np.tile(chirp(60 * rate, rate), 20), rate)
    assert len(read(tmp_path / name).samples) == 20 * 60 * rate


@pytest.mark.parametrize(("rate", "kbps"), [(44100, 96), (44100, 32), (44100, 320), (16000, 64), (8000, 8)])
def test_mp3_bit_rate(tmp_path: Path, rate: int, kbps: int):
    write(tmp_path / "b.mp3", chirp(10 * rate, rate), rate, bitrate_kbps=kbps)
    assert (tmp_path / "b.mp3").stat().st_size * 8 / 10 / 1000 == pytest.approx(kbps, rel=0.03)


def test_subtypes(tmp_path: Path):
    quiet = np.full(8000, 1e-6, dtype=np.float32)
    write(tmp_path / "f.wav", quiet, 8000, subtype="FLOAT")
    assert (read(tmp_path / "f.wav").samples == quiet).all()
    write(tmp_path / "u.wav", chirp(8000, 8000), 8000, subtype="ULAW")
    assert probe(tmp_path / "u.wav").format == "WAV/ULAW"


@pytest.mark.parametrize(
    ("name", "rate", "options", "words"),
    [
        ("x.xyz", 8000, {}, "no format is known for the suffix '.xyz'"),
        ("x.mp3", 12345, {}, "12345 Hz cannot be written to .mp3; it knows 8000, 11025"),
        ("x.opus", 44100, {}, "44100 Hz cannot be written to .opus"),
        ("x.wav", 0, {}, "a rate above 0"),
        ("x.flac", 8000, {"subtype": "FLOAT"}, "FLAC cannot hold FLOAT; it knows PCM_16, PCM_24, PCM_S8"),
        ("x.ogg", 8000, {"bitrate_kbps": 96}, "a bit rate can be set for .mp3 only"),
        ("x.mp3", 8000, {"bitrate_kbps": 96}, "MP3 takes 8 to 64 there"),
        ("absent/x.wav", 8000, {}, "there is no folder"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, rate: int, options: dict[str, object], words: str):
    with pytest.raises(InputError) as caught:
        write(tmp_path / name, chirp(1000, 8000), rate, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_too_many_channels_for_the_format(tmp_path: Path):
    with pytest.raises(InputError, match="MP3 cannot hold 5 channels"):
        write(tmp_path / "x.mp3", np.zeros((1000, 5), dtype=np.float32), 8000)


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "x.wav"
    target.write_bytes(b"old")

    def blocks_of_a_full_disk():
        raise OSError(28, "No space left on device")
        yield

    from earmark.audio import write as module

    with pytest.raises(
        EarmarkError, match=r"No space left on device; check that the folder exists and the disk has room"
    ):
        module._write_blocks(target, blocks_of_a_full_disk(), 8000, 1, None, None)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


def test_convert_streams_rate_and_channels(tmp_path: Path):
    rate = 44100
    mono = chirp(5 * rate, rate)
    stereo = np.stack([mono, -0.5 * mono], axis=1)
    write(tmp_path / "s.flac", stereo, rate, subtype="PCM_24")
    assert convert(tmp_path / "s.flac", tmp_path / "m.wav", sample_rate_hz=16000, mono=True) is None
    found = read(tmp_path / "m.wav")
    assert (found.source_rate_hz, found.source_channels, len(found.samples)) == (16000, 1, 80000)
    expected = read(tmp_path / "s.flac", sample_rate_hz=16000).samples
    assert np.abs(found.samples - expected).max() < 2.0**-14
    convert(tmp_path / "s.flac", tmp_path / "both.flac")
    assert np.abs(read(tmp_path / "both.flac", mono=False).samples - stereo).max() < 2.0**-14


def test_convert_to_a_format_that_does_not_know_the_rate_takes_the_next_higher(tmp_path: Path):
    write(tmp_path / "s.wav", chirp(44100, 44100), 44100)
    convert(tmp_path / "s.wav", tmp_path / "o.opus")
    assert len(read(tmp_path / "o.opus").samples) == 48000


def test_convert_tells_what_was_missing_and_refuses_what_is_empty(tmp_path: Path):
    write(tmp_path / "s.wav", chirp(8000, 8000), 8000)
    whole = (tmp_path / "s.wav").read_bytes()
    (tmp_path / "s.wav").write_bytes(whole[:-8000])
    warning = convert(tmp_path / "s.wav", tmp_path / "t.flac")
    assert warning == f"{tmp_path / 's.wav'}: 0.50 s decoded of 1.00 s claimed."
    (tmp_path / "e.wav").write_bytes(whole[:40] + b"\0\0\0\0")
    with pytest.raises(AudioError, match="holds no sample"):
        convert(tmp_path / "e.wav", tmp_path / "e.flac")
    assert not (tmp_path / "e.flac").exists()
