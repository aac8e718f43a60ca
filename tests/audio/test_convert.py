from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.audio.convert import convert_all
from earmark.audio.read import read
from earmark.audio.write import write
from earmark.errors import InputError
from earmark.types import Reason


def hum(n: int = 8000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(n) / 5)).astype(np.float32)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "a b").mkdir(parents=True)
    write(root / "a b" / "ü.wav", hum(), 8000)
    write(root / "same.wav", hum(), 8000)
    write(root / "same.ogg", hum(), 8000)
    write(root / "five.wav", np.stack([hum()] * 5, axis=1), 8000)
    (root / "broken.wav").write_bytes(b"nonsense" * 20)
    (root / "notes.txt").write_text("no audio")
    return root


def names(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_a_tree_is_kept_and_a_bad_file_costs_only_itself(tree: Path, tmp_path: Path):
    out = tmp_path / "out"
    done = convert_all([tree], out, "flac", workers=2, timeout_s=30)
    assert names(out) == ["a b/ü.flac", "five.flac", "same.ogg.flac", "same.wav.flac"]
    assert [(error.path, error.reason) for error in done.refused] == [(str(tree / "broken.wav"), Reason.NOT_AUDIO)]
    assert (len(done.written), done.skipped, done.warnings) == (4, [], [])
    assert read(out / "five.flac").source_channels == 5


def test_the_second_run_goes_on_where_the_first_was(tree: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert_all([tree], out, "flac", workers=1, timeout_s=30)
    (out / "five.flac").unlink()
    (out / "same.ogg.flac").write_bytes(b"kept")
    again = convert_all([tree], out, ".FLAC", workers=1, timeout_s=30)
    assert [Path(path).name for path in again.written] == ["five.flac"]
    assert len(again.skipped) == 3
    assert (out / "same.ogg.flac").read_bytes() == b"kept"
    forced = convert_all([tree], out, "flac", force=True, workers=1, timeout_s=30)
    assert (len(forced.written), forced.skipped) == (4, [])


def test_what_one_format_cannot_hold_is_that_files_refusal(tree: Path, tmp_path: Path):
    done = convert_all([tree], tmp_path / "out", "mp3", workers=1, timeout_s=30)
    reasons = {Path(error.path).name: error.reason for error in done.refused}
    assert reasons == {"broken.wav": Reason.NOT_AUDIO, "five.wav": Reason.UNSUPPORTED}
    assert convert_all([tree / "five.wav"], tmp_path / "mono", "mp3", mono=True, workers=1, timeout_s=30).refused == []


def test_output_within_the_source_is_no_source(tree: Path):
    out = tree / "converted"
    first = convert_all([tree], out, "wav", workers=1, timeout_s=30)
    second = convert_all([tree], out, "wav", workers=1, timeout_s=30)
    assert len(first.written) == len(second.skipped) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"suffix": "xyz"}, "choose one of wav, flac"),
        ({"suffix": "mp3", "sample_rate_hz": 12345}, "12345 Hz cannot be written to .mp3"),
        ({"suffix": "ogg", "bitrate_kbps": 96}, "only --to mp3 takes a bit rate"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_written(
    tree: Path, tmp_path: Path, options: dict[str, object], words: str
):
    suffix = str(options.pop("suffix"))
    with pytest.raises(InputError) as caught:
        convert_all([tree], tmp_path / "out", suffix, workers=1, timeout_s=30, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_nothing_to_convert_and_a_file_over_itself(tree: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no audio file was found"):
        convert_all([tmp_path / "empty"], tmp_path / "out", "wav", workers=1, timeout_s=30)
    with pytest.raises(InputError, match="written over itself"):
        convert_all([tree / "same.wav"], tree, "wav", workers=1, timeout_s=30)
    with pytest.raises(InputError, match="would both be written"):
        convert_all(
            [tree / "same.wav", tree / "a b" / ".." / "same.wav"], tmp_path / "o", "wav", workers=1, timeout_s=30
        )
