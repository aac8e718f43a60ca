"""Sounds that Earmark makes itself, for `earmark demo`, the pictures of the documentation and tests.

Six kinds of sound from a few lines of numpy each, every recording with its own pitch, rhythm, room, background noise,
level, length, sample rate and format. Seeded: the same seed writes the same samples. The bell's partials are Risset's
(J.-C. Risset, "An Introductory Catalogue of Computer Synthesized Sounds", Bell Laboratories, 1969).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earmark.audio.write import write
from earmark.types import Samples

_Array: TypeAlias = npt.NDArray[np.float64]
_Maker: TypeAlias = Callable[[np.random.Generator, int, int], _Array]

SAMPLE_RATES_HZ = (16000, 22050, 44100)
SUFFIXES = (".wav", ".flac", ".ogg")
SCENE_RATE_HZ = 22050
SCENE_GAP_S = 0.5

# frequency over the bell's pitch, gain, length over the bell's decay
_BELL_PARTIALS = (
    (0.56, 1.0, 1.0),
    (0.92, 0.67, 0.9),
    (1.19, 1.0, 0.65),
    (1.71, 1.8, 0.55),
    (2.0, 2.67, 0.325),
    (2.74, 1.67, 0.35),
    (3.0, 1.46, 0.25),
    (3.76, 1.33, 0.2),
    (4.07, 1.33, 0.15),
)


@dataclass(frozen=True, slots=True)
class Event:
    """What really sounds in a scene, and when: start_s <= t < stop_s."""

    start_s: float
    stop_s: float
    tag: str


@dataclass(frozen=True, slots=True)
class SoundSet:
    """A folder per class that was made here.

    Attributes:
        root: the folder; one folder a class below it.
        recordings: every good file, sorted.
        empty: a planted file of no bytes.
        cut_short: a planted file whose header promises twice as many samples as there are.
        copy: a planted MP3 of one of the recordings, quieter: the same take, though no byte agrees.
    """

    root: Path
    recordings: tuple[Path, ...]
    empty: Path
    cut_short: Path
    copy: Path


def sound(kind: str, *, seconds: float, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """One dry sound of a kind of `KINDS`: shape (round(seconds * rate),), peak 1."""
    n = round(seconds * sample_rate_hz)
    return _to_peak(KINDS[kind](rng, n, sample_rate_hz), 1.0).astype(np.float32)


def recording(kind: str, *, seconds: float, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """A sound as a microphone would get it: in a room, with noise 15-30 dB below it, peaking at -30 to -3 dBFS."""
    dry = sound(kind, seconds=seconds, sample_rate_hz=sample_rate_hz, rng=rng).astype(np.float64)
    wet = _in_room(dry, sample_rate_hz, reverberation_s=rng.uniform(0.1, 0.6), rng=rng)
    noise = _coloured_noise(rng, wet.size, sample_rate_hz, slope=rng.uniform(0.0, 1.0))
    noise *= _rms(wet) / _rms(noise) * 10 ** (-rng.uniform(15, 30) / 20)
    return _to_peak(wet + noise, 10 ** (rng.uniform(-30, -3) / 20)).astype(np.float32)


def make_sounds(root: Path, *, per_class: int = 24, seed: int = 0) -> SoundSet:
    """Write `per_class` recordings of 1-3 s for each kind below `root` (made if absent), and plant three bad ones."""
    paths = []
    for kind_index, kind in enumerate(KINDS):
        folder = root / kind
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            rng = np.random.default_rng([seed, kind_index, number])
            rate = int(rng.choice(SAMPLE_RATES_HZ))
            path = folder / f"{kind}_{number + 1:02d}{SUFFIXES[number % len(SUFFIXES)]}"
            samples = recording(kind, seconds=rng.uniform(1.0, 3.0), sample_rate_hz=rate, rng=rng)
            write(path, samples, rate)
            paths.append(path)
            if (kind, number) == ("whistle", 0):
                write(folder / "whistle_01_from_the_web.mp3", 0.5 * samples, rate)
    return SoundSet(
        root=root,
        recordings=tuple(sorted(paths)),
        empty=_plant_empty(root / "engine" / "engine_dead_battery.wav"),
        cut_short=_plant_cut_short(root / "bell" / "bell_cut_short.wav", seed=seed),
        copy=root / "whistle" / "whistle_01_from_the_web.mp3",
    )


def make_scene(path: Path, *, seconds: float = 30.0, events: int = 8, seed: int = 0) -> tuple[Event, ...]:
    """Write one recording of `seconds` in which sounds follow one another, and return what sounds when.

    The sounds are new (no recording of `make_sounds` holds them), each fills its slot of seconds / events but for
    half a second of silence, no kind comes twice in a row, and faint noise lies under all of it.
    """
    rng = np.random.default_rng([seed, 9999])
    n = round(seconds * SCENE_RATE_HZ)
    scene = _coloured_noise(rng, n, SCENE_RATE_HZ, slope=0.5)
    scene *= 0.001 / _rms(scene)
    slot_s = seconds / events
    told = []
    for number, kind in enumerate(_order(events, rng)):
        start_s, stop_s = round(number * slot_s, 3), round((number + 1) * slot_s - SCENE_GAP_S, 3)
        samples = recording(kind, seconds=stop_s - start_s, sample_rate_hz=SCENE_RATE_HZ, rng=rng)
        start = round(start_s * SCENE_RATE_HZ)
        scene[start : start + samples.size] += _to_peak(_fade(samples.astype(np.float64), SCENE_RATE_HZ), 0.3)
        told.append(Event(start_s, stop_s, kind))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, scene.astype(np.float32), SCENE_RATE_HZ)
    return tuple(told)


def _bell(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """Struck metal: inharmonic partials, the higher the shorter."""
    pitch_hz, decay_s = rng.uniform(180, 700), rng.uniform(0.5, 1.5)
    out = np.zeros(n)
    for start in _onsets(rng, n, rate, every_s=rng.uniform(0.6, 1.4)):
        t = np.arange(n - start) / rate
        strike = sum(
            gain * np.exp(-6.9 * t / (decay_s * length)) * np.sin(2 * np.pi * pitch_hz * ratio * t)
            for ratio, gain, length in _BELL_PARTIALS
        )
        out[start:] += rng.uniform(0.6, 1.0) * strike
    return out


def _drum(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """A skin that is hit: a tone that falls fast, and a slap of noise."""
    low_hz, decay_s, slap = rng.uniform(55, 130), rng.uniform(0.08, 0.2), rng.uniform(0.2, 0.8)
    out = np.zeros(n)
    for start in _onsets(rng, n, rate, every_s=rng.uniform(0.18, 0.45)):
        t = np.arange(min(n - start, round(0.5 * rate))) / rate
        tone = np.sin(2 * np.pi * np.cumsum(low_hz * (1 + 2 * np.exp(-t / 0.03))) / rate) * np.exp(-t / decay_s)
        hit = tone + slap * rng.standard_normal(t.size) * np.exp(-t / 0.02)
        out[start : start + t.size] += rng.uniform(0.4, 1.0) * hit
    return out


def _whistle(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """A few held notes of a pure tone with vibrato and a little breath."""
    out = np.zeros(n)
    for start in _onsets(rng, n, rate, every_s=rng.uniform(0.45, 0.8)):
        length = min(n - start, round(rng.uniform(0.35, 0.6) * rate))
        t = np.arange(length) / rate
        pitch_hz = rng.uniform(900, 2600) * (1 + rng.uniform(-0.15, 0.15) * t)
        pitch_hz = pitch_hz * (1 + 0.012 * np.sin(2 * np.pi * rng.uniform(4, 7) * t))
        note = np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate) + 0.03 * rng.standard_normal(length)
        out[start : start + length] += _fade(note, rate, fade_s=0.04)
    return out


def _engine(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """Firing pulses whose rate drifts as the motor revs, and the rumble of its casing."""
    t = np.arange(n) / rate
    revs_hz = rng.uniform(45, 120) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.15, 0.6) * t + rng.uniform(0, 6.3)))
    phase = 2 * np.pi * np.cumsum(revs_hz) / rate
    brightness = rng.uniform(0.4, 0.8)
    pulses = sum(np.sin(k * phase + rng.uniform(0, 6.3)) / k**brightness for k in range(1, 30))
    uneven = 1 + 0.25 * np.sin(phase / 2) + 0.1 * rng.standard_normal(n)
    motor: _Array = pulses * uneven
    return motor + 0.2 * _rms(motor) * _coloured_noise(rng, n, rate, slope=1.0)


def _wind(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """Noise whose strength and colour come in gusts."""
    t = np.arange(n) / rate
    gusts = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * t + rng.uniform(0, 6.3))
    dark = _coloured_noise(rng, n, rate, slope=rng.uniform(0.8, 1.2))
    bright = _coloured_noise(rng, n, rate, slope=rng.uniform(0.3, 0.5))
    blown: _Array = (0.4 + gusts) * dark + 0.7 * gusts**2 * bright
    return blown


def _bird(rng: np.random.Generator, n: int, rate: int) -> _Array:
    """Phrases of short chirps that sweep through the high octaves."""
    out = np.zeros(n)
    centre_hz, sweep_hz, length_s = rng.uniform(3200, 5200), rng.uniform(-1800, 1800), rng.uniform(0.04, 0.1)
    for phrase in _onsets(rng, n, rate, every_s=rng.uniform(0.7, 1.1)):
        for chirp in range(int(rng.integers(3, 8))):
            start = phrase + round(chirp * 1.4 * length_s * rate)
            length = min(n - start, round(length_s * rate))
            if length <= 0:
                break
            t = np.linspace(-0.5, 0.5, length)
            pitch_hz = centre_hz + sweep_hz * t + 200 * rng.standard_normal()
            out[start : start + length] += np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate) * np.hanning(length)
    return out


KINDS: dict[str, _Maker] = {
    "bell": _bell,
    "bird": _bird,
    "drum": _drum,
    "engine": _engine,
    "whistle": _whistle,
    "wind": _wind,
}
"""The kinds of sound, in the order of their names: rng, samples wanted, rate -> (n,) float64 of any level."""


def _onsets(rng: np.random.Generator, n: int, rate: int, *, every_s: float) -> list[int]:
    """Sample indices of strikes: the first within 0.1 s, then every `every_s` give or take a tenth."""
    onsets, at = [], rng.uniform(0.0, 0.1)
    while at * rate < n - 1:
        onsets.append(round(at * rate))
        at += every_s * rng.uniform(0.9, 1.1)
    return onsets


def _coloured_noise(rng: np.random.Generator, n: int, rate: int, *, slope: float) -> _Array:
    """Noise of RMS 1 whose amplitude falls as 1 / f**slope above 20 Hz: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(np.fft.rfftfreq(n, 1 / rate), 20.0) ** slope
    noise = np.fft.irfft(spectrum, n)
    return noise / _rms(noise)


def _in_room(dry: _Array, rate: int, *, reverberation_s: float, rng: np.random.Generator) -> _Array:
    """The sound and its reverberation (exponentially decaying noise, -60 dB after `reverberation_s`); length kept."""
    t = np.arange(round(reverberation_s * rate)) / rate
    response = rng.standard_normal(t.size) * np.exp(-6.9 * t / reverberation_s)
    response *= 0.3 / np.sqrt(np.sum(response**2))
    response[0] += 1.0
    size = dry.size + response.size - 1
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(response, size), size)[: dry.size]


def _order(events: int, rng: np.random.Generator) -> list[str]:
    """Kinds in random order, each once before any comes again, never the same twice in a row."""
    order: list[str] = []
    while len(order) < events:
        turn = [str(kind) for kind in rng.permutation(list(KINDS))]
        if order and turn[0] == order[-1]:
            turn.reverse()
        order += turn
    return order[:events]


def _fade(x: _Array, rate: int, *, fade_s: float = 0.02) -> _Array:
    ramp = np.minimum(1.0, np.arange(x.size) / max(1.0, fade_s * rate))
    return x * ramp * ramp[::-1]


def _rms(x: _Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _to_peak(x: _Array, peak: float) -> _Array:
    return x * (peak / max(float(np.max(np.abs(x))), 1e-9))


def _plant_empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _plant_cut_short(path: Path, *, seed: int) -> Path:
    """A WAV that lost its second half on the way, as an interrupted copy leaves it."""
    rng = np.random.default_rng([seed, 8888])
    write(path, recording("bell", seconds=2.0, sample_rate_hz=16000, rng=rng), 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path
