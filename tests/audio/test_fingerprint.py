"""Copies are found by their fingerprints; different takes of one note or word are not taken for copies.

`python -m benchmarks.fingerprint` measures this on hundreds of recordings; here a few stand for each law.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from earmark.audio.fingerprint import find_copies, find_other_copies, fingerprint
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.types import Samples

Sound = tuple[Samples, int]

RECORDINGS = (
    "esc10/audio/1-100032-A-0.ogg",  # a dog
    "esc10/audio/1-17367-A-10.ogg",  # rain: noise from end to end
    "esc10/audio/1-172649-A-40.ogg",  # a helicopter
    "instruments/Saxophone/25f26095.ogg",
    "animals/bat/bat_1.ogg",
    "drone_car_speech/speech/03a01Nc.ogg",
    "drone_car_speech/car/auto_1.ogg",
    "spoken_digits/7_jackson_3.wav",  # 0.4 s
    "notes/saxophone/saxophone_G4_15_piano_normal.mp3",
)


@pytest.fixture(scope="module")
def sounds(data_dir: Path) -> list[Sound]:
    found = []
    for name in RECORDINGS:
        audio = read(data_dir / name)
        found.append((audio.samples, audio.sample_rate_hz))
    return found


def through(suffix: str, **options: int) -> Callable[[Samples, int, Path], Sound]:
    def copy(x: Samples, rate: int, folder: Path) -> Sound:
        write(folder / f"x{suffix}", x, rate, **options)
        audio = read(folder / f"x{suffix}")
        return audio.samples, audio.sample_rate_hz

    return copy


COPIES: dict[str, Callable[[Samples, int, Path], Sound]] = {
    "mp3": through(".mp3", bitrate_kbps=64),
    "ogg": through(".ogg"),
    "16 kHz": lambda x, rate, _: (resample(x, rate, 16000), 16000),
    "-20 dB": lambda x, rate, _: (x * np.float32(0.1), rate),
    "+20 dB": lambda x, rate, _: (x * np.float32(10), rate),
    "0.1 s late": lambda x, rate, _: (np.concatenate([np.zeros(rate // 10, dtype=np.float32), x]), rate),
    "0.1 s cut": lambda x, rate, _: (x[rate // 10 :], rate),
    "turned over": lambda x, rate, _: (-x, rate),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_finds_its_original_and_nothing_else(kind: str, sounds: list[Sound], tmp_path: Path) -> None:
    prints = [fingerprint(*sound) for sound in sounds]
    copies = [fingerprint(*COPIES[kind](*sound, tmp_path)) for sound in sounds]
    pairs = [(i, j) for i, j, *_ in find_copies([*prints, *copies])]
    assert pairs == [(i, i + len(sounds)) for i in range(len(sounds))]


def test_gain_changes_hardly_a_bit(sounds: list[Sound]) -> None:
    for x, rate in sounds:
        ((_, _, bit_error_rate, _),) = find_copies([fingerprint(x, rate), fingerprint(x * np.float32(0.25), rate)])
        assert bit_error_rate < 0.01


@pytest.mark.parametrize("folder", ["notes/saxophone", "notes/oboe", "animals/toad"])
def test_other_takes_of_one_note_or_call_are_no_copies(data_dir: Path, folder: str) -> None:
    prints = []
    for path in sorted((data_dir / folder).iterdir())[:60]:
        audio = read(path)
        prints.append(fingerprint(audio.samples, audio.sample_rate_hz))
    assert find_copies(prints) == []


def test_takes_of_one_word_by_one_speaker_are_no_copies(data_dir: Path) -> None:
    prints = []
    for path in sorted((data_dir / "spoken_digits").glob("[37]_[gt]*.wav")):
        audio = read(path)
        prints.append(fingerprint(audio.samples, audio.sample_rate_hz))
    assert len(prints) == 100
    assert find_copies(prints) == []


def test_a_sound_that_lies_there_many_times_does_not_hide_a_copy_of_it(sounds: list[Sound], tmp_path: Path) -> None:
    original, copy = sounds[0], through(".mp3", bitrate_kbps=32)(*sounds[0], tmp_path)
    prints = [fingerprint(*original)] * 40 + [fingerprint(*copy), fingerprint(*sounds[1])]
    hashes = ["same"] * 40 + ["copy", "other"]
    assert [(found.i, found.j) for found in find_other_copies(prints, hashes)] == [(0, 40)]


def test_one_word_a_hop(sounds: list[Sound]) -> None:
    x, rate = sounds[0]
    words = fingerprint(x, rate)
    assert words.dtype == np.uint32
    assert words.shape == (1 + len(resample(x, rate, 8000)) // 128,)


def test_a_cut_from_the_middle_is_found_and_an_overlap_of_a_third_is_not(sounds: list[Sound]) -> None:
    x, rate = sounds[3]
    whole, middle = fingerprint(x, rate), fingerprint(x[rate : 3 * rate], rate)
    assert [(i, j) for i, j, *_ in find_copies([whole, middle])] == [(0, 1)]
    assert find_copies([fingerprint(x[: 3 * rate], rate), fingerprint(x[2 * rate :], rate)]) == []


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros(1), np.zeros(8000), np.full(8000, 0.5), np.ones(3)],
    ids=["nothing", "one sample", "silence", "constant", "three samples"],
)
def test_sounds_that_say_nothing_are_copies_of_nothing(samples: np.ndarray) -> None:
    words = fingerprint(samples.astype(np.float32), 8000)
    assert words.dtype == np.uint32
    assert find_copies([words, words]) == []


def test_silence_around_two_sounds_does_not_make_them_alike(sounds: list[Sound]) -> None:
    def padded(sound: Sound) -> Sound:
        x, rate = sound
        return np.concatenate([x[: rate // 2], np.zeros(4 * rate, dtype=np.float32)]), rate

    prints = [fingerprint(*padded(sound)) for sound in sounds]
    assert find_copies(prints) == []


def test_nothing_to_compare() -> None:
    assert find_copies([]) == []
    assert find_copies([np.array([1, 2, 3], dtype=np.uint32)]) == []


def test_the_search_grows_with_words_not_with_pairs() -> None:
    """20,000 fingerprints are 200 million pairs; the ten copies among them are found within seconds."""
    rng = np.random.default_rng(0)
    prints = [rng.integers(1, 2**32, size=30, dtype=np.uint32) for _ in range(20_000)]
    for i in range(10):
        flips = np.where(rng.random((30, 32)) < 0.1, np.uint32(1) << np.arange(32, dtype=np.uint32), 0)
        prints[10_000 + i] = prints[i] ^ flips.sum(axis=1).astype(np.uint32)
    assert [(i, j) for i, j, *_ in find_copies(prints)] == [(i, 10_000 + i) for i in range(10)]
