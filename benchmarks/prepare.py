"""Preparing esc10: ours against what training scripts do, and against decoding and resampling alone.

Baseline by wall clock: one process that, for each clip, calls librosa.load (which resamples), librosa's mel spectrogram
and np.savez_compressed. Ours: `prepare` into an empty store with two workers, from the start of the workers to samples
ready to be sliced.

Baseline by CPU time: soundfile.read and soxr.resample of the same files to the same rate in one process, nothing kept.
Ours is measured with all its workers and their start; it also hashes files and audio, checks, quantises, fingerprints
and writes.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Figure, alternate, cpu_alternate, data_dir, finish, median_ratio

RATE = 32_000
WORKERS = 2
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    import librosa
    import numpy as np
    import soundfile
    import soxr

    from earmark import layouts
    from earmark.data.prepare import prepare

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    manifest = layouts.read(data_dir() / "esc10")
    paths = manifest.rows["uri"].tolist()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        caches: list[Path] = []

        def ours() -> None:
            # each time a store of its own: to remove the last one is no part of preparing
            caches.append(Path(tempfile.mkdtemp(dir=folder)))
            prepare(manifest, sample_rate_hz=RATE, cache_dir=caches[-1], workers=WORKERS, timeout_s=60.0)
            _reap()

        def script() -> None:
            for number, path in enumerate(paths):
                samples, _ = librosa.load(path, sr=RATE)
                mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_fft=1024, hop_length=320, n_mels=128)
                np.savez_compressed(folder / f"{number}.npz", mel=librosa.power_to_db(mel))

        def bare() -> None:
            for path in paths:
                samples, rate = soundfile.read(path, dtype="float32")
                soxr.resample(samples, rate, RATE, quality="HQ")

        wall_ours, wall_script = alternate(ours, script, rounds=3)
        cpu_ours, cpu_bare = cpu_alternate(ours, bare, rounds=7)
        again = _seconds(
            lambda: prepare(manifest, sample_rate_hz=RATE, cache_dir=caches[-1], workers=WORKERS, timeout_s=60.0)
        )

    seconds = float(5 * len(paths))
    finish(
        "prepare",
        [
            Figure("prepare-wall", median_ratio(wall_script, wall_ours), 3.5, "higher", "x"),
            Figure("prepare-cpu", statistics.median(cpu_ours) / statistics.median(cpu_bare), 1.2, "lower", "x"),
        ],
        baseline="wall: librosa.load + melspectrogram + savez_compressed per clip, one process; "
        "cpu: soundfile.read + soxr.resample of the same files",
        extra={
            "rate_hz": RATE,
            "workers": WORKERS,
            "real_time_x": seconds / statistics.median(wall_ours),
            "script_real_time_x": seconds / statistics.median(wall_script),
            "wall_ours_s": wall_ours,
            "wall_script_s": wall_script,
            "cpu_ours_s": cpu_ours,
            "cpu_bare_s": cpu_bare,
            "second_run_s": again,
        },
    )


def _reap() -> None:
    """Collect the workers whose parent has ended, so that their CPU time is counted as ours."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _seconds(work: Callable[[], object]) -> float:
    import time

    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
