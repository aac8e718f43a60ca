"""One opener: every format whole, in spans and in blocks; what is wrong with a file is said with its reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import encoded_sounds as sounds
import numpy as np
import pytest
import soundfile
from encoded_sounds import reason_of, wav_bytes

from earmark.audio.read import Audio, probe, read, stream
from earmark.errors import AudioError, InputError
from earmark.types import Reason, Verdict

NAMES = [*sounds.SOUNDFILE, *sounds.FFMPEG]
LOSSLESS = {"32.wav", "float.wav", "double.wav", "24.wav", "24.flac", "24.aiff"}
# spans of PCM and of codecs entered at the sample, or decoded from the beginning, are the same bits
MakeWav = Callable[..., Path]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_read_whole(formats: dict[str, Path], name: str):
    audio = read(formats[name])
    rate = sounds.FFMPEG[name][2] if name in sounds.FFMPEG else sounds.RATE
    assert (audio.sample_rate_hz, audio.source_rate_hz, audio.source_channels) == (rate, rate, 1)
    assert (audio.verdict, audio.warning) == (Verdict.READ, None)
    assert audio.samples.dtype == np.float32
    assert len(audio.samples) == pytest.approx(5 * rate, abs=0.04 * rate)
    original = sounds.sound(5.0, rate)
    if name in LOSSLESS:
        assert np.abs(audio.samples - original).max() < 1e-6
    else:  # lossy codings keep the power and the spectrum of the tones
        assert np.sqrt(np.mean(audio.samples**2)) == pytest.approx(np.sqrt(np.mean(original**2)), rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_span_is_the_slice_of_the_whole(formats: dict[str, Path], name: str):
    whole = read(formats[name])
    rate = whole.sample_rate_hz
    for start_s, stop_s in [(0.0, 0.5), (0.73, 1.9), (2.0001, 2.0107), (4.2, 4.9), (3.3, None)]:
        part = read(formats[name], start_s=start_s, stop_s=stop_s)
        expected = whole.samples[round(start_s * rate) : None if stop_s is None else round(stop_s * rate)]
        assert part.samples.shape == expected.shape
        assert (part.samples == expected).all(), f"{name} {start_s}"
        assert part.warning is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [None, 16000])
def test_streamed_blocks_are_the_whole(formats: dict[str, Path], name: str, rate: int | None):
    whole = read(formats[name], sample_rate_hz=rate)
    with stream(formats[name], sample_rate_hz=rate, block_s=0.37) as blocks:
        parts = list(blocks)
        assert blocks.sample_rate_hz == whole.sample_rate_hz
        assert blocks.info.format == whole.format
        assert blocks.warning is None
    assert len(parts) > 5
    joined = np.concatenate(parts)
    assert joined.shape == whole.samples.shape
    assert np.abs(joined - whole.samples).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_probe_agrees_with_the_decoder(formats: dict[str, Path], name: str):
    info, audio = probe(formats[name]), read(formats[name])
    assert (info.sample_rate_hz, info.channels, info.format) == (
        audio.source_rate_hz,
        audio.source_channels,
        audio.format,
    )
    assert info.decoder == (
        "av" if (name in sounds.FFMPEG and name != "opus.opus") or name == "mpeg.mp3" else "soundfile"
    )
    # bare AAC states no length, and the bit rate gives only an estimate
    assert info.duration_s == pytest.approx(5.0, abs=0.5 if name == "raw.aac" else 0.1)
    if info.frames is not None and name in sounds.SOUNDFILE:
        assert info.frames == len(audio.samples)


def test_channels_are_mixed_or_kept(tmp_path: Path):
    stereo = sounds.sound(1.0, channels=2)
    path = sounds.save(tmp_path / "s.flac", stereo, kind="FLAC", coding="PCM_24")
    both = read(path, mono=False)
    assert both.samples.shape == (sounds.RATE, 2)
    assert np.abs(both.samples - stereo).max() < 1e-6
    assert np.abs(read(path).samples - stereo.mean(axis=1)).max() < 1e-6
    assert read(path, mono=False, sample_rate_hz=8000).samples.shape == (8000, 2)


def test_resampled_spans_have_the_stated_length(formats: dict[str, Path]):
    audio = read(formats["16.wav"], start_s=1.0, stop_s=2.0, sample_rate_hz=16000)
    assert audio.samples.shape == (16000,)
    assert (audio.sample_rate_hz, audio.source_rate_hz) == (16000, 22050)


# ---- files that are cut, lie or are no audio ----


def test_reasons(tmp_path: Path):
    assert reason_of(tmp_path / "absent.wav")[0] == Reason.MISSING
    assert reason_of(tmp_path)[0] == Reason.NOT_AUDIO
    cases = {
        "empty.wav": (b"", Reason.EMPTY),
        "words.mp3": (b"these are words, no audio at all\n" * 50, Reason.NOT_AUDIO),
        "picture.wav": (b"\x89PNG\r\n\x1a\n" + bytes(500), Reason.NOT_AUDIO),
        "no_samples.wav": (wav_bytes(b"", tag=1, channels=1, rate=8000, align=2, bits=16), Reason.EMPTY),
        "no_data.wav": (b"RIFF\x10\0\0\0WAVE", Reason.EMPTY),
        "no_rate.wav": (wav_bytes(bytes(4000), tag=1, channels=1, rate=0, align=2, bits=16), Reason.NOT_AUDIO),
        "tag.mp3": (b"ID3\x03\0\0\0\0\x7f\x7f" + bytes(100), Reason.EMPTY),
        "strange.wav": (
            wav_bytes(bytes(4000), tag=0x9999, channels=1, rate=8000, align=2, bits=16),
            Reason.UNSUPPORTED,
        ),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert reason_of(tmp_path / name)[0] == reason, name


@pytest.mark.parametrize(("channels", "rate"), [(0, 16_000), (1, 0)])
def test_a_header_without_channels_or_rate_is_told_as_damage(tmp_path: Path, channels: int, rate: int):
    path = tmp_path / "broken.wav"
    path.write_bytes(wav_bytes(bytes(8000), tag=1, channels=channels, rate=rate, align=2, bits=16))
    _, said = reason_of(path)
    assert f"{path} begins like WAV but is damaged beyond reading" in said
    assert "no sound track" not in said


def test_rates_of_every_size_are_read(make_wav: MakeWav):
    for rate in (1, 1234, 192000, 1_000_000):
        audio = read(make_wav("r.wav", np.full(3 * rate if rate < 5000 else 4000, 0.25, dtype=np.float32), rate))
        assert audio.sample_rate_hz == rate
        assert audio.samples[0] == pytest.approx(0.25, abs=1e-4)


def test_values_that_are_no_numbers_are_refused(make_wav: MakeWav):
    for bad in (np.nan, np.inf, -np.inf):
        samples = sounds.sound(1.0)
        samples[777] = bad
        path = make_wav("n.wav", samples, coding="FLOAT")
        reason, message = reason_of(path)
        assert reason == Reason.NON_FINITE
        assert "holds 1 values" in message
        with stream(path) as blocks, pytest.raises(AudioError):
            list(blocks)
        assert len(read(path, start_s=0.5).samples) == sounds.RATE - sounds.RATE // 2
    huge = np.full(4000, 3e38, dtype=np.float32)
    assert len(read(make_wav("h.wav", huge, coding="FLOAT")).samples) == 4000


def test_too_large_is_refused(make_wav: MakeWav, formats: dict[str, Path]):
    reason, message = reason_of(make_wav("long.wav", sounds.sound(3.0)), max_duration_s=2.0)
    assert reason == Reason.TOO_LARGE
    assert "2 s" in message
    assert reason_of(formats["mpeg.mp3"], max_duration_s=2.0)[0] == Reason.TOO_LARGE
    assert len(read(formats["mpeg.mp3"], stop_s=1.5, max_duration_s=2.0).samples) == round(1.5 * sounds.RATE)


def test_spans_that_are_none(formats: dict[str, Path]):
    for start_s, stop_s in [(-1.0, None), (2.0, 2.0), (3.0, 1.0), (float("nan"), None)]:
        with pytest.raises(InputError, match="expected 0 <= start < stop"):
            read(formats["16.wav"], start_s=start_s, stop_s=stop_s)
    for name in ("16.wav", "vorbis.ogg", "mpeg.mp3", "aac.m4a"):
        reason, message = reason_of(formats[name], start_s=77.0)
        assert reason == Reason.EMPTY
        assert "from 77 s on" in message


def test_a_wrong_suffix_does_not_matter(formats: dict[str, Path], tmp_path: Path):
    for name in ("16.flac", "mpeg.mp3", "aac.m4a", "opus.webm"):
        path = tmp_path / f"{name}.wav"
        path.write_bytes(formats[name].read_bytes())
        assert (read(path).samples == read(formats[name]).samples).all()


def test_names_with_spaces_and_other_scripts(formats: dict[str, Path], tmp_path: Path):
    for name in ("16.wav", "mpeg.mp3", "aac.m4a"):
        path = tmp_path / f"käuzchen 鳥 {name}"
        path.write_bytes(formats[name].read_bytes())
        assert len(read(path).samples) == len(read(formats[name]).samples)


def test_mp3_length_is_exact_and_the_decoded_bits_do_not_depend_on_the_blocks(data_dir: Path):
    songs = sorted((data_dir / "fma_mini" / "fma_small" / "000").glob("*.mp3"))[:3]
    assert songs
    for song in songs:
        whole = read(song)
        assert probe(song).frames == len(whole.samples)
        for block_s in (0.1, 7.0):
            with stream(song, block_s=block_s) as blocks:
                assert (np.concatenate(list(blocks)) == whole.samples).all()


def test_real_recordings_agree_with_soundfile(data_dir: Path):
    files = [
        *sorted((data_dir / "esc10" / "audio").glob("*.ogg"))[:5],
        *sorted((data_dir / "spoken_digits").rglob("*.wav"))[:5],
        *sorted((data_dir / "fma_mini" / "fma_small" / "000").glob("*.mp3"))[:2],
    ]
    assert len(files) == 12
    for path in files:
        expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
        audio: Audio = read(path)
        assert audio.source_rate_hz == rate
        assert np.abs(audio.samples - expected.mean(axis=1)).max() < 1e-5


# VmHWM, not ru_maxrss: that one begins at the memory of the process that started this one
MEMORY = """
import re, sys
from pathlib import Path
from earmark.audio.read import stream
n = 0
with stream(sys.argv[1], sample_rate_hz=16000) as blocks:
    for block in blocks:
        n += len(block)
print(n, re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def streamed(path: Path) -> tuple[int, int]:
    """Samples, and the peak of memory in kB."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's peak of memory")
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, timeout=900)
    n, peak_kb = map(int, done.stdout.split())
    return n, peak_kb


def long_file(path: Path, minutes: float, kind: str, coding: str, rate: int = 44100) -> Path:
    minute = sounds.sound(60.0, rate)
    with soundfile.SoundFile(path, "w", rate, 1, format=kind, subtype=coding) as file:
        for _ in range(round(minutes)):
            for start in range(0, len(minute), 65536):
                file.write(minute[start : start + 65536])
    return path


def test_streaming_takes_no_more_memory_for_a_longer_file(tmp_path: Path):
    short = streamed(long_file(tmp_path / "s.flac", 1, "FLAC", "PCM_16"))
    long = streamed(long_file(tmp_path / "l.flac", 12, "FLAC", "PCM_16"))
    assert (short[0], long[0]) == (60 * 16000, 12 * 60 * 16000)
    assert long[1] < 1.1 * short[1], (short, long)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "kind", "coding"),
    [("l.flac", "FLAC", "PCM_16"), ("l.ogg", "OGG", "VORBIS"), ("l.mp3", "MP3", "MPEG_LAYER_III")],
)
def test_fifteen_hours_stream_in_flat_memory(tmp_path: Path, name: str, kind: str, coding: str):
    short = streamed(long_file(tmp_path / f"short_{name}", 10, kind, coding, 8000))
    long = streamed(long_file(tmp_path / name, 15 * 60, kind, coding, 8000))
    assert long[0] == pytest.approx(15 * 3600 * 16000, rel=1e-4)
    assert long[1] < 1.1 * short[1], (short, long)
