"""Sounds that the tests make themselves, in every format that can be encoded here, and in none."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from earmark.audio.read import read
from earmark.errors import AudioError

RATE = 22050

# name: (libsndfile format, coding) or (FFmpeg container, codec, rate)
SOUNDFILE = {
    "u8.wav": ("WAV", "PCM_U8"),
    "16.wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "32.wav": ("WAV", "PCM_32"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "alaw.wav": ("WAV", "ALAW"),
    "ulaw.wav": ("WAV", "ULAW"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "ms.wav": ("WAV", "MS_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "rf64.wav": ("RF64", "PCM_16"),
    "w64.w64": ("W64", "PCM_16"),
    "24.aiff": ("AIFF", "PCM_24"),
    "16.flac": ("FLAC", "PCM_16"),
    "24.flac": ("FLAC", "PCM_24"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "mpeg.mp3": ("MP3", "MPEG_LAYER_III"),
    "16.au": ("AU", "PCM_16"),
    "16.caf": ("CAF", "PCM_16"),
}
FFMPEG = {
    "aac.m4a": ("ipod", "aac", 44100),
    "aac.mp4": ("mp4", "aac", 44100),
    "aac.mov": ("mov", "aac", 44100),
    "alac.m4a": ("ipod", "alac", 44100),
    "raw.aac": ("adts", "aac", 44100),
    "opus.webm": ("webm", "libopus", 48000),
    "opus.opus": ("opus", "libopus", 48000),
    "aac.mkv": ("matroska", "aac", 44100),
    "flac.mkv": ("matroska", "flac", 44100),
    "wma.wma": ("asf", "wmav2", 44100),
    "ac3.ac3": ("ac3", "ac3", 44100),
}


def sound(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A chirp, tones and noise: (n,) or (n, channels), within [-0.8, 0.8]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    columns = []
    for k in range(channels):
        wave = 0.3 * np.sin(2 * np.pi * (200 + 30 * k + 40 * t) * t) + 0.2 * np.sin(2 * np.pi * 1200 * t)
        columns.append(wave + 0.05 * rng.standard_normal(len(t)))
    stacked = np.clip(np.stack(columns, axis=1), -0.8, 0.8).astype(np.float32)
    return stacked[:, 0] if channels == 1 else stacked


def encode(path: Path, samples: np.ndarray, container: str, codec: str, rate: int) -> None:
    """`samples` (n,) at `rate` through FFmpeg, with a picture track in front where the container is for video."""
    with av.open(str(path), "w", format=container) as file:
        video = None
        if container in ("mp4", "mov", "matroska"):
            video = file.add_stream("mpeg4", rate=5)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        stream = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 128_000
        if video is not None:
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
            for k in range(3):
                picture.pts = k
                file.mux(video.encode(picture))
            file.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None, :].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        codec_format = {"libopus": "flt", "alac": "s16p", "flac": "s16"}.get(codec, "fltp")
        size = {"libopus": 960, "alac": 4096, "flac": 4096, "wmav2": 2048, "ac3": 1536}.get(codec, 1024)
        resampler = av.AudioResampler(format=codec_format, layout="mono", rate=rate, frame_size=size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))


def save(path: Path, samples: np.ndarray, rate: int = RATE, kind: str = "WAV", coding: str = "PCM_16") -> Path:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", rate, channels, format=kind, subtype=coding) as file:
        for start in range(0, len(samples), 65536):
            file.write(samples[start : start + 65536])
    return path


def wav_bytes(
    data: bytes, *, tag: int, channels: int, rate: int, align: int, bits: int, claimed: int | None = None
) -> bytes:
    """A WAV file around `data` with any header, true or not; `claimed`: its length in bytes as the header says it."""
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


def reason_of(path: Path, **options: object) -> tuple[str, str]:
    """Why `path` cannot be read: the code and the sentence."""
    with pytest.raises(AudioError) as caught:
        read(path, **options)  # type: ignore[arg-type]
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    return caught.value.reason, str(caught.value)
