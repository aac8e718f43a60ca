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
