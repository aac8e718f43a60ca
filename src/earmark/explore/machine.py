"""`earmark doctor`: what is installed, what this machine can do, and how fast it is at it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark import __version__
from earmark.audio import read as audio
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.data.housekeeping import list_stores
from earmark.errors import EarmarkError
from earmark.settings import Settings, usable_cores

TO_TRAIN = ("torch", "lightning", "onnx", "onnxscript", "safetensors", "matplotlib")
"""Of the extra `train`."""
PACKAGES = ("numpy", "soundfile", "av", "soxr", "onnxruntime", "pandas", "pyarrow", "pydantic", *TO_TRAIN)
FORMATS = ("wav", "flac", "aiff", "mp3", "ogg", "opus")
"""Written by Earmark and read back."""
READ_ONLY = (("m4a", "aac", "mp4"), ("webm", "libopus", "webm"), ("wma", "wmav2", "asf"))
"""(suffix, encoder, container): written by the libraries of PyAV, read back by Earmark."""
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "neon", "asimd", "bf16")


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found.

    Attributes:
        versions: of Python, Earmark, the packages that are installed, libsndfile and FFmpeg.
        missing: packages of the extra `train` that are not installed.
        cores: that this process may use.
        processor: its name.
        memory_gb: of the machine.
        bf16: whether the processor multiplies bfloat16 by itself.
        gpus: names with their memory; empty where there is none.
        formats: for each format, '' if a second of sound survives being written and read, else what went wrong.
        cache_dir, cache_bytes, cache_free_bytes: prepared audio: where, how much, room left.
        cache_trouble: why it cannot be read; empty where it can.
        decode_x: seconds of 44.1 kHz OGG decoded and resampled to 16 kHz per second on one core.
        spectra_x: seconds of 32 kHz audio turned into 1024-point spectra per second on one core.
    """

    versions: dict[str, str]
    missing: list[str]
    cores: int
    processor: str
    memory_gb: float
    bf16: bool
    gpus: list[str]
    formats: dict[str, str]
    cache_dir: str
    cache_bytes: int
    cache_free_bytes: int
    cache_trouble: str
    decode_x: float
    spectra_x: float

    @property
    def speed(self) -> str:
        """This machine in one line."""
        return (
            f"one core decodes OGG at {self.decode_x:,.0f} x real time, computes spectra at {self.spectra_x:,.0f} x; "
            f"{self.cores} cores{' with bf16' if self.bf16 else ''}"
            + (f", {', '.join(self.gpus)}" if self.gpus else ", no GPU")
        )

    @property
    def gpu_idle(self) -> bool:
        """Whether there is a GPU that the installed torch cannot use."""
        return bool(self.gpus) and self.versions.get("torch", "").endswith("+cpu")

    @property
    def broken(self) -> list[str]:
        """Formats that failed."""
        return [name for name, trouble in self.formats.items() if trouble]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"speed": self.speed}


def check_up(settings: Settings) -> Checkup:
    """Look at everything; nothing is left behind and nothing of it fails the command."""
    flags = _flags()
    cache_bytes, cache_trouble = _cache(settings.cache_dir)
    decode_x, spectra_x = _speed()
    return Checkup(
        versions=_versions(),
        missing=[name for name in TO_TRAIN if not _version(name)],
        cores=usable_cores(),
        processor=_processor(),
        memory_gb=_memory_gb(),
        bf16=bool({"avx512_bf16", "amx_bf16", "bf16"} & flags),
        gpus=_gpus(),
        formats=_formats(),
        cache_dir=str(settings.cache_dir),
        cache_bytes=cache_bytes,
        cache_free_bytes=_free(settings.cache_dir),
        cache_trouble=cache_trouble,
        decode_x=decode_x,
        spectra_x=spectra_x,
    )


def _versions() -> dict[str, str]:
    import av
    import soundfile

    found = {"python": platform.python_version(), "earmark": __version__}
    found |= {name: version for name in PACKAGES if (version := _version(name))}
    found["libsndfile"] = soundfile.__libsndfile_version__
    libavcodec = av.library_versions.get("libavcodec", ())
    found["libavcodec"] = ".".join(map(str, libavcodec))
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _flags() -> set[str]:
    """Instructions that matter here; none where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return set()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].split()) & set(FLAGS)
    return set()


def _memory_gb() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return 0.0


def _gpus() -> list[str]:
    """Names as the driver's own tool gives them: torch is not needed for it, and takes seconds to import."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]


def _cache(folder: Path) -> tuple[int, str]:
    """Bytes of prepared audio, and why they cannot be counted: it is then that somebody asks the doctor."""
    try:
        return sum(store.bytes_on_disk for store in list_stores(folder)), ""
    except (EarmarkError, OSError) as error:
        return 0, str(error)


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _tone(seconds: float, rate: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    t = np.arange(int(seconds * rate)) / rate
    rng = np.random.default_rng(0)
    return (0.4 * np.sin(2 * np.pi * 440 * t) + 0.05 * rng.standard_normal(len(t))).astype(np.float32)


def _formats() -> dict[str, str]:
    tone = _tone(1.0, 48_000)
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            path = Path(folder) / f"tone.{name}"
            try:
                write(path, tone, 48_000)
                found[name] = _read_back(path)
            except (EarmarkError, OSError) as error:
                found[name] = str(error)
        for name, codec, container in READ_ONLY:
            path = Path(folder) / f"tone.{name}"
            try:
                _encode(path, tone, codec, container)
                found[name] = _read_back(path)
            except (EarmarkError, OSError, ValueError) as error:  # FFmpeg's own errors are ValueError and OSError
                found[name] = str(error)
    return found


def _read_back(path: Path) -> str:
    back = audio.read(path)
    seconds = len(back.samples) / back.sample_rate_hz
    level = float(np.sqrt(np.mean(back.samples**2)))
    if abs(seconds - 1.0) > 0.1 or not 0.2 < level < 0.4:
        return f"read back as {seconds:.2f} s at level {level:.2f}, expected 1.00 s at 0.29"
    return ""


def _encode(path: Path, tone: np.ndarray[Any, np.dtype[np.float32]], codec: str, container: str) -> None:
    import av

    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000)
        stream.bit_rate = 96_000
        stream.layout = "mono"
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=48_000, frame_size=stream.frame_size or 960
        )
        frame = av.AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def _speed() -> tuple[float, float]:
    """Seconds of sound a second: OGG decoded and resampled; spectra of 1024 samples each 320. The best of three."""
    tone = _tone(10.0, 44_100)
    frames = np.lib.stride_tricks.sliding_window_view(_tone(10.0, 32_000), 1024)[::320]
    window = np.hanning(1024).astype(np.float32)
    decode_s, spectra_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tone.ogg"
        write(path, tone, 44_100)
        for _ in range(3):
            began = time.perf_counter()
            resample(audio.read(path).samples, 44_100, 16_000)
            decode_s.append(time.perf_counter() - began)
            began = time.perf_counter()
            np.fft.rfft(frames * window)
            spectra_s.append(time.perf_counter() - began)
    return 10.0 / min(decode_s), 10.0 / min(spectra_s)
