"""Verdicts: on sounds made for the purpose, and on every odd, broken and hostile file of the messy set."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.examine import SHORTEST_S, check_usable, examine
from earmark.audio.find import find_audio
from earmark.audio.pool import map_files
from earmark.errors import AudioError
from earmark.types import Reason, Verdict

MakeWav = Callable[..., Path]


def tone(n: int, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 0.01 * np.arange(n))).astype(np.float32)


def test_a_good_file(make_wav: MakeWav):
    path = make_wav("t.wav", tone(22050), 22050)
    found = examine(path)
    assert (found.path, found.verdict, found.reason, found.message, found.warning) == (
        str(path),
        Verdict.READ,
        None,
        "",
        None,
    )
    assert found.info is not None
    assert (found.info.format, found.info.sample_rate_hz, found.info.frames) == ("WAV/PCM_16", 22050, 22050)
    assert found.duration_s == 1.0
    assert found.peak == pytest.approx(0.5, abs=1e-3)
    assert found.rms_db == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert found.clipped_share == 0.0


def test_clipping_is_seen_on_each_channel(make_wav: MakeWav):
    stereo = np.stack([np.tile([1.0, -1.0, 0.0, 0.0], 1000), np.zeros(4000)], axis=1).astype(np.float32)
    found = examine(make_wav("c.wav", stereo, 8000))
    assert found.clipped_share == 0.25
    assert found.peak == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(8000), Reason.SILENT),
        (np.full(8000, 9e-6), Reason.SILENT),
        (np.full(8000, 2e-5), None),
        (np.full(159, 0.5), Reason.TOO_SHORT),
        (np.full(160, 0.5), None),
        (np.zeros(0), Reason.EMPTY),
        (np.array([0.1] * 8000 + [np.nan]), Reason.NON_FINITE),
    ],
)
def test_limits(make_wav: MakeWav, samples: np.ndarray, reason: Reason | None):
    assert SHORTEST_S * 8000 == 160
    found = examine(make_wav("x.wav", samples.astype(np.float32), 8000, "FLOAT"))
    assert found.reason == reason
    assert found.verdict == (Verdict.READ if reason is None else Verdict.QUARANTINED)
    assert ("x.wav" in found.message) == (reason is not None)
    assert math.isfinite(found.peak)


def test_channels_that_cancel_are_silent_and_said_to_be(make_wav: MakeWav):
    left = tone(8000)
    found = examine(make_wav("x.wav", np.stack([left, -left], axis=1), 8000, "FLOAT"))
    assert found.reason == Reason.SILENT
    assert "cancel out" in found.message


def test_what_is_partial_and_too_large(make_wav: MakeWav):
    path = make_wav("p.wav", tone(8000), 8000)
    path.write_bytes(path.read_bytes()[:-8000])
    found = examine(path)
    assert (found.verdict, found.duration_s) == (Verdict.PARTIAL, 0.5)
    assert found.warning == f"{path}: 0.50 s decoded of 1.00 s claimed."
    assert examine(path, max_duration_s=0.4).reason == Reason.TOO_LARGE


def test_missing(tmp_path: Path):
    found = examine(tmp_path / "absent.wav")
    assert (found.verdict, found.reason, found.info) == (Verdict.QUARANTINED, Reason.MISSING, None)


def test_the_rules_stand_alone():
    check_usable("a.wav", frames=8000, sample_rate_hz=8000, peak=0.1)
    with pytest.raises(AudioError, match="is silent from end to end"):
        check_usable("a.wav", frames=8000, sample_rate_hz=8000, peak=0.0)


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


def test_every_messy_file_has_a_verdict(data_dir: Path):
    paths = find_audio(data_dir / "messy", any_suffix=True)
    assert len(paths) >= 200
    items = [(str(path), str(path)) for path in paths]
    outcomes = list(map_files(examine, items, workers=2, timeout_s=30, memory_limit=1 << 30))
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(paths)))
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    found = {Path(outcome.path).name: outcome.value for outcome in outcomes if outcome.value is not None}
    wrong = {
        name: (str(expected), found[name])
        for name, expected in MESSY.items()
        if expected not in (found[name].reason, found[name].verdict)
    }
    assert wrong == {}
    for name, result in found.items():
        assert name in result.path
        if result.verdict == Verdict.QUARANTINED:
            assert isinstance(result.reason, Reason)
            assert result.path in result.message
        else:
            assert result.duration_s >= SHORTEST_S
            assert result.peak > 0
            assert (result.warning is None) == (result.verdict == Verdict.READ)


def test_nothing_that_a_decoder_reads_whole_is_refused(data_dir: Path):
    """soundfile alone, file by file: whatever it decodes to audible sound is read here too."""
    for path in sorted((data_dir / "messy").iterdir()):
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, TypeError):
            continue
        mono = samples.mean(axis=1)
        if len(mono) >= 0.02 * rate and np.isfinite(mono).all() and np.abs(mono).max() >= 1e-4:
            assert examine(path).verdict != Verdict.QUARANTINED, path.name


def test_damaged_files_of_every_format_neither_crash_nor_hang(formats: dict[str, Path], tmp_path: Path):
    rng = np.random.default_rng(7)
    paths = []
    for name, source in formats.items():
        whole = np.frombuffer(source.read_bytes(), dtype=np.uint8)
        for way in ("header", "body", "cut", "ones"):
            data = whole.copy()
            if way == "header":
                data[rng.integers(0, min(len(data), 200), 4)] = rng.integers(0, 256, 4)
            elif way == "body":
                data[rng.integers(0, len(data), 40)] = rng.integers(0, 256, 40)
            elif way == "cut":
                data = data[: rng.integers(1, len(data))]
            else:
                start = rng.integers(0, 120)
                data[start : start + 4] = 255
            paths.append(tmp_path / f"{way}_{name}")
            paths[-1].write_bytes(data.tobytes())
    items = [(str(path), str(path)) for path in paths]
    outcomes = list(map_files(examine, items, workers=2, timeout_s=20, memory_limit=1 << 30))
    assert len(outcomes) == len(paths)
    assert [str(outcome.error) for outcome in outcomes if outcome.error] == []
    verdicts = {outcome.value.verdict for outcome in outcomes if outcome.value is not None}
    assert verdicts == set(Verdict)
