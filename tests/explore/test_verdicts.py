"""The verdict on every odd, broken and hostile file of the messy set, by the very work that `inspect` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.examine import SHORTEST_S
from earmark.audio.find import find_audio
from earmark.audio.pool import Outcome, map_files
from earmark.explore.measure import Measured, measure
from earmark.types import Reason, Verdict

OF_A_WORKER = (Reason.CRASHED, Reason.TIMED_OUT, Reason.TOO_LARGE)


def outcomes_of(paths: Sequence[Path]) -> list[Outcome[Measured]]:
    items = [(str(path), str(path)) for path in paths]
    return list(map_files(measure, items, workers=2, timeout_s=30, memory_limit=1 << 30))


def verdict(outcome: Outcome[Measured]) -> Verdict | Reason:
    if outcome.value is None:
        assert outcome.error is not None
        return Reason(outcome.error.reason)
    return Verdict.PARTIAL if outcome.value.warning else Verdict.READ


# what each decoder alone said of these files was looked at by hand
MESSY = {
    "8302f4_essentia-audio__empty.mp3": Reason.SILENT,  # two frames of zeros
    "essentia-audio__empty.mp3": Reason.EMPTY,
    "essentia-audio__empty.aiff": Reason.EMPTY,
    "essentia-audio__empty.ogg": Reason.EMPTY,
    "essentia-audio__empty.wav": Reason.EMPTY,
    "essentia-audio__silence.flac": Reason.SILENT,
    "essentia-audio__dubstep.aac": Verdict.READ,
    "essentia-audio__impulses_1second_44100_bad_stream_info.flac": Verdict.READ,
    "hound__crash-24728523ef4be15c838293b676f6853e73723bf4.wav": Reason.EMPTY,
    "hound__crash-e5471f5b58397287b509db7d026e95f1724454f5.wav": Reason.TOO_SHORT,
    "hound__oom-48ae4cd061ff8578ad3f23dc87624bd365cf5216.wav": Reason.EMPTY,
    "hound__pop.wav": Reason.TOO_SHORT,
    "pydub__test5.webm": Verdict.READ,
    "scipy__test-44100Hz-be-1ch-4bytes.wav": Verdict.READ,
    "scipy__test-44100Hz-le-1ch-4bytes-rf64.wav": Verdict.READ,
    "scipy__test-44100Hz-le-1ch-4bytes-early-eof.wav": Reason.TOO_SHORT,
    "scipy__test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav": Reason.EMPTY,
    "scipy__test-8000Hz-le-3ch-5S-36bit.wav": Reason.TOO_SHORT,
    "scipy__test-8000Hz-le-3ch-5S-64bit.wav": Reason.TOO_SHORT,
    "tinytag__106-invalid-streaminfo.flac": Reason.NOT_AUDIO,
    "tinytag__UTF16.mp3": Reason.EMPTY,
    "tinytag__adpcm.wav": Verdict.READ,
    "tinytag__alac_file.m4a": Reason.EMPTY,  # an index of 166 s, and none of the sound
    "tinytag__cover_img.mp3": Reason.EMPTY,
    "tinytag__empty_file.mp3": Reason.EMPTY,
    "tinytag__flac453sStereo.flac": Verdict.READ,
    "tinytag__gsm_6_10.wav": Verdict.READ,
    "tinytag__id3_frames.mp3": Verdict.READ,
    "tinytag__ilbm.aiff": Reason.NOT_AUDIO,  # a picture
    "tinytag__invalid_sample_rate.aiff": Reason.NOT_AUDIO,
    "tinytag__lossless.wma": Verdict.READ,
    "tinytag__mpeg4_desc_cmt.m4a": Verdict.READ,
    "tinytag__test.opus": Verdict.PARTIAL,
    "tinytag__test.spx": Verdict.READ,
    "tinytag__there_is_no_such_ext.bogus": Reason.NOT_AUDIO,
    "tinytag__variable-block.flac": Verdict.PARTIAL,
    "tinytag__vbr_xing_header.mp3": Verdict.READ,
    "tinytag__vbr_xing_header_2channel.mp3": Verdict.PARTIAL,
    "tinytag__vbri.mp3": Verdict.PARTIAL,
}


@pytest.fixture(scope="module")
def messy(data_dir: Path) -> list[Outcome[Measured]]:
    paths = find_audio(data_dir / "messy", any_suffix=True)
    assert len(paths) >= 200
    outcomes = outcomes_of(paths)
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(paths)))
    return outcomes


def test_every_messy_file_has_a_verdict(messy: list[Outcome[Measured]]) -> None:
    found = {Path(outcome.path).name: verdict(outcome) for outcome in messy}
    assert {name: found[name] for name in MESSY} == MESSY
    assert [name for name, said in found.items() if said in OF_A_WORKER] == []
    for outcome in messy:
        if outcome.error is not None:
            assert outcome.path in str(outcome.error)
        elif outcome.value is not None:
            assert outcome.value.duration_s >= SHORTEST_S
            assert outcome.value.peak > 0


def test_nothing_that_a_decoder_reads_whole_is_refused(messy: list[Outcome[Measured]]) -> None:
    """soundfile alone, file by file: whatever it decodes to audible sound is read here too."""
    heard = 0
    for outcome in messy:
        try:
            samples, rate = soundfile.read(outcome.path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, TypeError):
            continue
        mono = samples.mean(axis=1)
        if len(mono) >= 0.02 * rate and np.isfinite(mono).all() and np.abs(mono).max() >= 1e-4:
            assert outcome.error is None, outcome.path
            heard += 1
    assert heard > 50
