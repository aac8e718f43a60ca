from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earmark.audio.read import read
from earmark.errors import AudioError
from earmark.tagging.decoder import Decoder

# the real child, on a reader whose files crash, hang or overflow by name
HOSTILE = """
import os, time
import earmark.audio.read as real
honest = real.stream
def stream(path, **options):
    if "crash" in path:
        os.abort()
    if "hang" in path:
        time.sleep(600)
    if "bomb" in path:
        raise MemoryError
    return honest(path, **options)
real.stream = stream
from earmark.tagging.decoder import serve
serve()
"""


@pytest.fixture
def song(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).normal(0, 0.1, (44100 * 21, 2)).astype(np.float32)
    sf.write(tmp_path / "song.flac", samples, 44100)
    return tmp_path / "song.flac"


def test_blocks_from_the_child_are_the_file(song: Path):
    with Decoder(30) as decoder:
        for _ in range(2):  # the child serves file after file
            blocks = list(decoder.blocks(str(song), 16000))
            assert len(blocks) == 11
            np.testing.assert_allclose(np.concatenate(blocks), read(song, sample_rate_hz=16000).samples, atol=1e-6)
            assert decoder.duration_s == 21.0
            assert decoder.warning is None


def test_a_refusal_in_the_child_is_the_same_error_here(tmp_path: Path, song: Path):
    (tmp_path / "note.wav").write_text("not a sound")
    with Decoder(30) as decoder:
        for path, reason in ((tmp_path / "note.wav", "not-audio"), (tmp_path / "gone.wav", "missing")):
            with pytest.raises(AudioError) as caught:
                list(decoder.blocks(str(path), 8000))
            assert (caught.value.reason, caught.value.path) == (reason, str(path))
            assert str(path) in str(caught.value)
        assert len(list(decoder.blocks(str(song), 8000))) == 11


def test_a_cut_off_file_is_read_in_part_with_a_warning(tmp_path: Path):
    sf.write(tmp_path / "cut.wav", np.random.default_rng(0).normal(0, 0.1, 80000).astype(np.float32), 8000)
    whole = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    with Decoder(30) as decoder:
        assert 0 < sum(len(block) for block in decoder.blocks(str(tmp_path / "cut.wav"), 8000)) < 80000
        assert "cut.wav" in str(decoder.warning)


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("crash.wav", "crashed", "crashed"),
        ("hang.wav", "timed-out", "gave nothing for 1 s"),
        ("bomb.wav", "too-large", "memory"),
    ],
)
def test_a_hostile_file_costs_only_itself(song: Path, name, reason, message):
    with Decoder(30, HOSTILE) as decoder:
        assert len(list(decoder.blocks(str(song), 8000))) == 11
        decoder.timeout_s = 1 if name == "hang.wav" else 30
        with pytest.raises(AudioError, match=message) as caught:
            list(decoder.blocks(name, 8000))
        assert caught.value.reason == reason
        decoder.timeout_s = 30
        assert len(list(decoder.blocks(str(song), 8000))) == 11


def test_an_abandoned_file_leaves_nothing_in_the_pipe(song: Path):
    with Decoder(30) as decoder:
        first = next(decoder.blocks(str(song), 8000))
        again = next(decoder.blocks(str(song), 8000))
        np.testing.assert_array_equal(first, again)


def test_a_child_that_was_killed_while_idle_is_replaced(song: Path):
    with Decoder(30) as decoder:
        list(decoder.blocks(str(song), 8000))
        assert decoder._child is not None
        os.kill(decoder._child.pid, signal.SIGKILL)
        decoder._child.wait()
        assert len(list(decoder.blocks(str(song), 8000))) == 11


def test_the_child_ends_when_its_parent_does(song: Path):
    decoder = Decoder(30)
    list(decoder.blocks(str(song), 8000))
    child = decoder._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.close()  # what the kernel does when the parent dies
    for _ in range(100):
        if child.poll() is not None:
            break
        time.sleep(0.05)
    assert child.poll() == 0


def test_a_hung_child_ends_when_its_parent_is_killed(tmp_path: Path):
    code = f"""
from earmark.tagging.decoder import Decoder
decoder = Decoder(600, {HOSTILE!r})
print(decoder._child.pid, flush=True)
list(decoder.blocks("hang.wav", 8000))
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1.5)  # into the hang
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not _alive(child):
            break
        time.sleep(0.1)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
