"""What a header claims, against what the file holds: cut files, lengths never written, lies."""

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

from earmark.audio.read import probe, read, stream
from earmark.types import Reason, Verdict

MakeWav = Callable[..., Path]


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


GIB = 1 << 30
STEREO = {"channels": 2, "rate": 48000}


def sparse_wav(path: Path, length: int, end: bytes, *, claimed: int, **fmt: int) -> Path:
    """A WAV of `length` bytes of silence and then `end`, which takes no room on the disk."""
    header = wav_bytes(b"", claimed=claimed, **fmt)
    with path.open("wb") as file:
        file.write(header)
        file.seek(length, 1)
        file.write(end)
        file.truncate(file.tell())  # where `end` is nothing, the file would end before the silence
    return path


@pytest.mark.parametrize(
    ("claimed", "length"),
    [
        (0xFFFFFFFF, 5 * GIB),  # as libsndfile leaves it
        (0xFFFFFFFE, 4 * GIB),
        (GIB + 8, 5 * GIB),  # what is left of the true size, as others leave it
        (GIB + 8, 13 * GIB),
        (0, 5 * GIB),
        (0x7FFFFFFF, 3 * GIB),
    ],
)
def test_a_wav_longer_than_its_size_can_say_is_read_whole(tmp_path: Path, claimed: int, length: int):
    end = np.array([[8192, -8192], [16384, 0]], "<i2").tobytes()
    path = sparse_wav(tmp_path / "night.wav", length, end, claimed=claimed, tag=1, align=4, bits=16, **STEREO)
    frames = length // 4 + 2
    info = probe(path)
    assert (info.frames, info.format, info.channels, info.sample_rate_hz) == (frames, "WAV/PCM_16", 2, 48000)
    last = read(path, start_s=(frames - 3) / 48000, mono=False)
    assert last.samples.tolist() == [[0, 0], [0.25, -0.25], [0.5, 0]]
    assert (last.verdict, last.warning) == (Verdict.READ, None)


def test_what_follows_the_samples_of_a_long_wav_is_no_sound(tmp_path: Path):
    """2 GiB - 2 bytes is a length that recorders write, and what follows a whole chunk of samples may be tags."""
    tags = b"LIST" + (40).to_bytes(4, "little") + b"INFO" + bytes(36)
    pcm = {"tag": 1, "align": 4, "bits": 16, **STEREO}
    path = sparse_wav(tmp_path / "tags.wav", 0x7FFFFFFC, bytes(2) + tags, claimed=0x7FFFFFFE, **pcm)
    assert (probe(path).frames, probe(path).decoder) == (0x7FFFFFFC // 4, "soundfile")
    odd = sparse_wav(tmp_path / "odd.wav", 5 * GIB, b"", claimed=GIB // 2, **pcm)  # 4.5 GiB that nothing explains
    assert (probe(odd).frames, probe(odd).decoder) == (GIB // 8, "soundfile")
    tagged = sparse_wav(tmp_path / "tagged.wav", 5 * GIB, tags, claimed=GIB, **pcm)
    assert probe(tagged).frames == 5 * GIB // 4


@pytest.mark.parametrize(
    ("coding", "samples", "expected", "name"),
    [
        ({"tag": 1, "align": 1, "bits": 8}, np.array([0, 128, 192], "u1"), [-1, 0, 0.5], "PCM_U8"),
        ({"tag": 1, "align": 2, "bits": 16}, np.array([-32768, 1, 16384], "<i2"), [-1, 2**-15, 0.5], "PCM_16"),
        ({"tag": 1, "align": 3, "bits": 24}, np.array([0, 0, 128, 1, 0, 0, 0, 0, 64], "u1"), [-1, 2**-23, 0.5],
         "PCM_24"),
        ({"tag": 1, "align": 4, "bits": 32}, np.array([-(2**31), 256, 2**30], "<i4"), [-1, 2**-23, 0.5], "PCM_32"),
        ({"tag": 3, "align": 4, "bits": 32}, np.array([-1.5, 1e-9, 0.5], "<f4"), [-1.5, 1e-9, 0.5], "FLOAT"),
        ({"tag": 3, "align": 8, "bits": 64}, np.array([-1.5, 1e-9, 0.5], "<f8"), [-1.5, 1e-9, 0.5], "DOUBLE"),
    ],
)  # fmt: skip
def test_every_coding_of_a_wav_beyond_4_gib(
    tmp_path: Path, coding: dict[str, int], samples: np.ndarray, expected: list[float], name: str
):
    """The last samples as one knows them, and as libsndfile reads them from a short file."""
    length = 6 * GIB  # divided by every width here
    fmt = {"channels": 1, "rate": 48000, **coding}
    path = sparse_wav(tmp_path / "x.wav", length, samples.tobytes(), claimed=0xFFFFFFFF, **fmt)
    frames = length // coding["align"] + 3
    assert (probe(path).frames, probe(path).format) == (frames, f"WAV/{name}")
    ours = read(path, start_s=(frames - 3) / 48000).samples
    assert ours.tolist() == pytest.approx(expected, rel=1e-7, abs=0)
    (tmp_path / "short.wav").write_bytes(wav_bytes(samples.tobytes(), **fmt))
    theirs, _ = soundfile.read(tmp_path / "short.wav", dtype="float32")
    assert ours.tolist() == theirs.tolist()


def test_what_is_left_of_a_wav_beyond_4_gib_in_a_coding_of_the_decoders_alone(tmp_path: Path):
    """A-law, of which libsndfile reads what the header says."""
    rate = 500_000
    fmt = {"tag": 6, "channels": 1, "rate": rate, "align": 1, "bits": 8}
    path = sparse_wav(tmp_path / "a.wav", 4 * GIB + rate, b"", claimed=rate, **fmt)
    audio = read(path)
    assert (len(audio.samples), audio.verdict) == (rate, Verdict.PARTIAL)
    assert audio.warning == f"{path}: 1.00 s decoded of 8590.93 s claimed."


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
