"""One opener: every format whole, in spans and in blocks; what is wrong with a file is said with its reason."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.read import Audio, probe, read, stream
from earmark.errors import AudioError, InputError
from earmark.types import Reason, Verdict

_spec = util.spec_from_file_location("audio_sounds", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
sounds = util.module_from_spec(_spec)
_spec.loader.exec_module(sounds)

NAMES = [*sounds.SOUNDFILE, *sounds.FFMPEG]
LOSSLESS = {"32.wav", "float.wav", "double.wav", "24.wav", "24.flac", "24.aiff"}
# spans of PCM and of codecs entered at the sample, or decoded from the beginning, are the same bits
MakeWav = Callable[..., Path]


def wav_bytes(
    data: bytes, *, tag: int, channels: int, rate: int, align: int, bits: int, claimed: int | None = None
) -> bytes:
    size = len(data) if claimed is None else claimed
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + size, 0xFFFFFFFF))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", size)
        + data
    )


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


@pytest.mark.parametrize("width", [5, 6, 7, 8])
@pytest.mark.parametrize("order", ["little", "big"])
def test_integers_wider_than_32_bits(tmp_path: Path, width: int, order: str):
    values = [0, 1 << (8 * width - 2), -(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1] * 100
    data = b"".join(value.to_bytes(width, order, signed=True) for value in values)  # type: ignore[arg-type]
    content = wav_bytes(data, tag=1, channels=2, rate=8000, align=2 * width, bits=8 * width)
    if order == "big":
        content = content.replace(b"RIFF", b"RIFX", 1)
        fmt = struct.pack(">HHIIHH", 1, 2, 8000, 8000 * 2 * width, 2 * width, 8 * width)
        content = b"RIFX" + struct.pack(">I", 36 + len(data)) + b"WAVEfmt " + struct.pack(">I", 16) + fmt
        content += b"data" + struct.pack(">I", len(data)) + data
    path = tmp_path / "wide.wav"
    path.write_bytes(content)
    audio = read(path, mono=False)
    assert audio.samples.shape == (200, 2)
    assert audio.samples[:2].ravel().tolist() == pytest.approx([0.0, 0.5, -1.0, 1.0])
    assert (read(path, mono=False, start_s=0.01).samples == audio.samples[80:]).all()


# ---- files that are cut, lie or are no audio ----


def reason_of(path: Path, **options: object) -> tuple[str, str]:
    with pytest.raises(AudioError) as caught:
        read(path, **options)  # type: ignore[arg-type]
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    return caught.value.reason, str(caught.value)


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


def test_a_cut_wav_says_how_much_was_read(make_wav: MakeWav):
    path = make_wav("cut.wav", sounds.sound(4.0))
    path.write_bytes(path.read_bytes()[: 44 + 2 * sounds.RATE])
    audio = read(path)
    assert len(audio.samples) == sounds.RATE
    assert audio.verdict == Verdict.PARTIAL
    assert audio.warning == f"{path}: 1.00 s decoded of 4.00 s claimed."
    with stream(path) as blocks:
        assert sum(map(len, blocks)) == sounds.RATE
        assert blocks.warning == audio.warning
    inside = read(path, start_s=0.2, stop_s=0.6)
    assert (inside.verdict, inside.warning) == (Verdict.READ, None)
    beyond = read(path, start_s=0.5, stop_s=3.0)
    assert beyond.verdict == Verdict.PARTIAL


def test_a_recorder_that_died_before_it_wrote_the_length(make_wav: MakeWav):
    for claimed in (0, 0xFFFFFFFF, 0x7FFFFFFF):
        data = (sounds.sound(1.0) * 32767).astype("<i2").tobytes()
        path = make_wav("x.wav", sounds.sound(0.1))
        path.write_bytes(wav_bytes(data, tag=1, channels=1, rate=sounds.RATE, align=2, bits=16, claimed=claimed))
        audio = read(path)
        assert (len(audio.samples), audio.verdict) == (sounds.RATE, Verdict.READ), hex(claimed)


@pytest.mark.parametrize("name", ["16.flac", "mpeg.mp3", "vorbis.ogg", "alac.m4a", "flac.mkv", "24.aiff"])
def test_cut_files_give_what_they_hold(formats: dict[str, Path], tmp_path: Path, name: str):
    whole = read(formats[name])
    content = formats[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(0.6 * len(content))])
    if name == "alac.m4a":  # the index is at the end, and without it nothing can be found
        assert reason_of(path)[0] == Reason.NOT_AUDIO
        return
    audio = read(path)
    assert audio.verdict == Verdict.PARTIAL
    assert "s decoded" in str(audio.warning)
    n = len(audio.samples)
    assert 0.3 < n / len(whole.samples) < 0.8
    settled = n - 4096  # the last frames before the cut may be concealed
    assert np.abs(audio.samples[:settled] - whole.samples[:settled]).max() < 1e-6


def test_streams_one_after_another_in_an_ogg_are_all_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    parts = [(0.1 * rng.standard_normal(16000 * seconds)).astype(np.float32) for seconds in (3, 2)]
    for n, part in enumerate(parts):
        soundfile.write(tmp_path / f"{n}.ogg", part, 16000)
    both = tmp_path / "both.ogg"
    both.write_bytes(b"".join((tmp_path / f"{n}.ogg").read_bytes() for n in range(2)))
    audio = read(both)
    assert audio.warning is None
    assert len(audio.samples) / 16000 == pytest.approx(5.0, abs=0.1)
    assert np.corrcoef(audio.samples[:48000], parts[0])[0, 1] > 0.9
    assert np.corrcoef(audio.samples[-32000:], read(tmp_path / "1.ogg").samples)[0, 1] > 0.9
    assert probe(both).duration_s is None


def test_a_header_that_lies_takes_no_memory(tmp_path: Path):
    flac = sounds.save(tmp_path / "lie.flac", sounds.sound(1.0), kind="FLAC")
    content = bytearray(flac.read_bytes())
    assert content[:4] == b"fLaC"
    content[21] |= 0x0F  # the 36 bits of STREAMINFO that count the samples: 2**36 - 1, 18 days
    content[22:26] = b"\xff\xff\xff\xff"
    flac.write_bytes(content)
    code = (
        "import resource, sys; from earmark.audio.read import probe, read\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (700 << 20, 700 << 20))\n"
        "audio = read(sys.argv[1]); print(len(audio.samples), audio.verdict, probe(sys.argv[1]).frames)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(flac)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(sounds.RATE), "partial", str(2**36 - 1)], done.stderr


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


def test_a_playlist_cannot_make_the_decoder_open_other_files(formats: dict[str, Path], tmp_path: Path):
    target = formats["16.wav"]
    playlists = {
        "a.mp3": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n",
        "b.wav": f"ffconcat version 1.0\nfile '{target}'\n",
        "c.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{target}\n#EXT-X-ENDLIST\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        assert reason_of(tmp_path / name)[0] == Reason.NOT_AUDIO


def test_a_video_without_sound(tmp_path: Path):
    import av

    with av.open(str(tmp_path / "v.mp4"), "w") as file:
        video = file.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for k in range(5):
            picture.pts = k
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    reason, message = reason_of(tmp_path / "v.mp4")
    assert reason == Reason.NOT_AUDIO
    assert "no sound track" in message


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
