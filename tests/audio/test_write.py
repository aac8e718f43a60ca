from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio import write as writing
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

    with pytest.raises(
        EarmarkError, match=r"No space left on device; check that the folder exists and the disk has room"
    ):
        writing._write_blocks(target, blocks_of_a_full_disk(), 8000, 1, None, None, frames=None)
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


def test_a_short_wav_is_as_plain_as_ever(tmp_path: Path):
    samples = np.stack([chirp(8000, 8000), -chirp(8000, 8000)], axis=1)
    soundfile.write(tmp_path / "theirs.wav", samples, 8000, subtype="PCM_16")
    plain = (tmp_path / "theirs.wav").read_bytes()
    write(tmp_path / "ours.wav", samples, 8000)
    assert (tmp_path / "ours.wav").read_bytes() == plain
    convert(tmp_path / "ours.wav", tmp_path / "converted.wav")
    assert (tmp_path / "converted.wav").read_bytes() == plain


def test_a_wav_whose_length_nobody_knew_is_still_no_rf64(tmp_path: Path):
    samples = chirp(16000, 8000)
    write(tmp_path / "s.mp3", samples, 8000, bitrate_kbps=32)
    stripped = (tmp_path / "s.mp3").read_bytes().replace(b"Info", b"\0\0\0\0").replace(b"Xing", b"\0\0\0\0")
    (tmp_path / "s.mp3").write_bytes(stripped)
    assert probe(tmp_path / "s.mp3").frames is None
    convert(tmp_path / "s.mp3", tmp_path / "t.wav")
    content = (tmp_path / "t.wav").read_bytes()
    assert (content[:4], int.from_bytes(content[4:8], "little")) == (b"RIFF", len(content) - 8)
    assert np.abs(read(tmp_path / "t.wav").samples - read(tmp_path / "s.mp3").samples).max() < 2.0**-14


def test_what_32_bits_cannot_count_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writing, "_RIFF_BYTES", 100_000)
    samples = chirp(200_000, 8000)
    for name, subtype in (("x.aiff", None), ("x.wav", "GSM610"), ("x.wav", "IMA_ADPCM")):
        kept = len(samples) if subtype is None else 1_000_000
        with pytest.raises(InputError, match=r"ends at 4 GiB, and there is more; write \.flac"):
            write(tmp_path / name, np.resize(samples, kept), 8000, subtype=subtype)
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "x.wav", samples, 8000)
    assert len(read(tmp_path / "x.wav").samples) == 200_000


@pytest.mark.slow
def test_a_wav_beyond_4_gib_holds_all_of_it(tmp_path: Path):
    """Minutes of nothing, at the fewest bytes that go over; the source takes no room, the target all of it."""
    if shutil.disk_usage(tmp_path).free < 8 << 30:
        pytest.skip("needs 8 GiB of disk")
    frames = (1 << 30) + 48_000
    end = np.array([[8192, -8192]], "<i2")
    with soundfile.SoundFile(tmp_path / "s.wav", "w", 48000, 2, "PCM_16", format="RF64") as file:
        file.write(np.zeros((1, 2), "i2"))
    header = bytearray((tmp_path / "s.wav").read_bytes()[:-4])
    header[20:44] = b"".join(n.to_bytes(8, "little") for n in (len(header) - 8 + 4 * frames, 4 * frames, frames))
    with (tmp_path / "s.wav").open("wb") as file:
        file.write(header)
        file.seek(4 * (frames - 1), 1)
        file.write(end.tobytes())
    try:
        assert convert(tmp_path / "s.wav", tmp_path / "t.wav") is None
        assert (probe(tmp_path / "t.wav").frames, probe(tmp_path / "t.wav").decoder) == (frames, "soundfile")
        assert read(tmp_path / "t.wav", start_s=(frames - 1) / 48000, mono=False).samples.tolist() == [[0.25, -0.25]]
    finally:
        (tmp_path / "t.wav").unlink(missing_ok=True)


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
