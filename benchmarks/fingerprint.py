"""How many lossy copies the fingerprint finds, and how many distinct recordings it takes for copies.

Recall: 500 recordings of eight sets are copied in each way that sounds get copied; a copy counts as found where it is
paired with its own original. False pairs: all recordings of the eight sets, each against each; clips that their set
says are cut from one recording are left out, and what the waveforms confirm beyond doubt is counted apart.

    python -m benchmarks.fingerprint
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.harness import Figure, data_dir, finish
from earmark.audio.copies import LEAST_AGREEMENT, agreement, excerpts
from earmark.audio.find import find_audio
from earmark.audio.fingerprint import RATE_HZ, Candidate, Words, find_copies, fingerprint
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.errors import AudioError
from earmark.types import Samples

SETS = {
    "esc10": 60,
    "urbansound8k": 80,
    "instruments": 50,
    "notes": 80,
    "animals": 60,
    "spoken_digits": 80,
    "drone_car_speech": 80,
    "fma_mini": 10,
}
Sound = tuple[Samples, int]
BEYOND_DOUBT = 0.7  # of two waveforms; what only fingerprints alike stays below 0.4


def main() -> None:
    data = data_dir()
    paths = {name: find_audio(data / name) for name in SETS}
    originals = list(_pick(paths))
    prints = [fingerprint(*sound) for sound in originals]
    figures = []
    lowest: dict[str, float] = {}
    for kind, copy in KINDS.items():
        copies = [copy(*sound) for sound in originals]
        both = [*prints, *(fingerprint(*sound) for sound in copies)]
        sounds = [*originals, *copies]
        own = [candidate for candidate in find_copies(both) if candidate.j == candidate.i + len(prints)]
        agree = [_agreement(both, pair, _at_8_khz(*sounds[pair.i]), _at_8_khz(*sounds[pair.j])) for pair in own]
        lowest[kind] = round(min(agree), 3)
        found = sum(value >= LEAST_AGREEMENT for value in agree)
        target = 0.95 if kind == "opus-32" else 0.97
        figures.append(Figure(f"fingerprint-recall-{kind}", found / len(prints), target, "higher"))
        print(figures[-1].line(), flush=True)
    doubtful, certain, alike, seen = _false_pairs(data, [path for found in paths.values() for path in found])
    note = f"{doubtful} of {seen:,} pairs; {certain} more agree by {BEYOND_DOUBT}; {alike} only fingerprint alike"
    figures.append(Figure("fingerprint-false-rate", doubtful / seen, 2e-7, "lower", note=note))
    baseline = "each copy and its own original; all recordings and each other"
    finish("fingerprint", figures, baseline=baseline, extra={"lowest_agreement": lowest})


def _at_8_khz(x: Samples, rate: int) -> Samples:
    return resample(x, rate, RATE_HZ)


def _pick(paths: dict[str, list[Path]]) -> list[Sound]:
    """Up to 12 s of the recordings, the same ones every time."""
    chance = random.Random(1)
    picked = []
    for name, count in SETS.items():
        for path in chance.sample(paths[name], k=count):
            try:
                audio = read(path, stop_s=12.0)
            except AudioError:
                continue
            if len(audio.samples) > 0.2 * audio.sample_rate_hz and np.abs(audio.samples).max() > 1e-4:
                picked.append((audio.samples, audio.sample_rate_hz))
    return picked


def _encoded(x: Samples, rate: int, codec: str, container: str, kbps: int, at_hz: int) -> Sound:
    """`x` through an encoder and back, with the delay that both add."""
    if rate != at_hz:
        x = resample(x, rate, at_hz)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        stream = target.add_stream(codec, rate=at_hz)
        stream.bit_rate = kbps * 1000
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(x[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = at_hz, 0, Fraction(1, at_hz)
        resampler = av.AudioResampler(stream.codec_context.format.name, "mono", at_hz)
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size, partial=True)) is not None:
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        rate = source.streams.audio[0].rate
        resampler = av.AudioResampler("fltp", "mono")
        parts = [part.to_ndarray()[0] for frame in source.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts), rate


def _vorbis(x: Samples, rate: int) -> Sound:
    path = Path("benchmarks/work/fingerprint.ogg")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, x, rate)
    audio = read(path)
    path.unlink()
    return audio.samples, audio.sample_rate_hz


def _int16(x: Samples) -> Samples:
    return (np.round(np.clip(x, -1, 1) * 32767) / 32767).astype(np.float32)


def _late(x: Samples, rate: int) -> Sound:
    return np.concatenate([np.zeros(rate // 10 - 7, dtype=np.float32), x]), rate


def _early(x: Samples, rate: int) -> Sound:
    return x[rate // 10 - 3 :], rate


def _mp3(kbps: int) -> Callable[[Samples, int], Sound]:
    def copy(x: Samples, rate: int) -> Sound:
        low_rate = 22050 if rate > 16000 else 16000
        at_hz = 44100 if rate > 32000 or kbps > 64 else low_rate
        return _encoded(x, rate, "libmp3lame", "mp3", kbps, at_hz)

    return copy


KINDS: dict[str, Callable[[Samples, int], Sound]] = {
    "mp3-48": _mp3(48),
    "mp3-128": _mp3(128),
    "mp3-320": _mp3(320),
    "ogg-vorbis": _vorbis,
    "aac-64": lambda x, rate: _encoded(x, rate, "aac", "adts", 64, 44100),
    "opus-32": lambda x, rate: _encoded(x, rate, "libopus", "ogg", 32, 48000),
    "opus-64": lambda x, rate: _encoded(x, rate, "libopus", "ogg", 64, 48000),
    "16-kHz": lambda x, rate: (_int16(resample(x, rate, 16000)), 16000),
    "8-kHz": lambda x, rate: (_int16(resample(x, rate, 8000)), 8000),
    "minus-20-dB": lambda x, rate: (_int16(x * np.float32(0.1)), rate),
    "clipped-6-dB": lambda x, rate: (_int16(x * np.float32(2 / np.abs(x).max())), rate),
    "0.1-s-late": _late,
    "0.1-s-cut": _early,
    "quiet-cut-mp3-64": lambda x, rate: _mp3(64)(x[rate // 20 :] * np.float32(0.3), rate),
}


def _false_pairs(data: Path, paths: list[Path]) -> tuple[int, int, int, int]:
    """Pairs taken for copies in doubt and beyond doubt, pairs that only fingerprinted alike, pairs there were."""
    names, prints = [], []
    for path in paths:
        try:
            audio = read(path)
        except AudioError:
            continue
        names.append(path)
        prints.append(fingerprint(audio.samples, audio.sample_rate_hz))
    doubtful = certain = alike = 0
    for found in find_copies(prints):
        a, b = names[found.i], names[found.j]
        if _source(data, a) == _source(data, b):
            continue
        value = _agreement(prints, found, *(read(name, sample_rate_hz=RATE_HZ).samples for name in (a, b)))
        if value >= BEYOND_DOUBT:
            certain += 1
        elif value >= LEAST_AGREEMENT:
            doubtful += 1
        else:
            alike += 1
        print(f"{a.name} {b.name}: {found.error_rate:.3f} of the bits differ, waveforms {value:.3f}", flush=True)
    return doubtful, certain, alike, len(prints) * (len(prints) - 1) // 2


def _source(data: Path, path: Path) -> str:
    """What a clip was cut from, where its set says so in the name."""
    name, parts = path.relative_to(data).parts[0], path.stem.split("-")
    return f"{name} {parts[0] if name == 'urbansound8k' else parts[1] if name == 'esc10' else path.stem}"


def _agreement(prints: list[Words], found: Candidate, x: Samples, y: Samples) -> float:
    """How well the waveforms of a candidate agree; `x` and `y` are the whole recordings at 8 kHz."""
    spans = excerpts(prints[found.i], prints[found.j], found.lag)
    x, y = (
        z[round(start_s * RATE_HZ) : round(stop_s * RATE_HZ)]
        for z, (start_s, stop_s) in zip((x, y), spans, strict=True)
    )
    return agreement(x, y)


if __name__ == "__main__":
    main()
