"""What a recipe takes from the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.audio.write import write
from earmark.data.manifest import Manifest
from earmark.data.splits import group_by
from earmark.features.spec import FeatureSpec
from earmark.layouts import read as read_layout
from earmark.recipes import load_recipe
from earmark.training import adapting
from earmark.training.adapting import adapt, at_rate, clip_length, few_recordings


def adapted(folder: Path) -> tuple[FeatureSpec, list[str]]:
    notes: list[str] = []
    manifest: Manifest = read_layout(folder)
    return adapt(load_recipe("small-cnn"), manifest, notes).front_end, notes


def test_word_long_low_rate_data_is_not_blown_up(digits: Path) -> None:
    spec, notes = adapted(digits)
    assert spec.sample_rate_hz == 8000
    assert spec.clip_s == pytest.approx(0.6, abs=0.1)
    assert (spec.n_fft, spec.hop_length, spec.fmax_hz) == (256, 125, 3800)  # the same 32 and 15.6 ms
    assert len(notes) == 2


def test_full_band_clips_keep_the_recipe(data_dir: Path) -> None:
    spec, notes = adapted(data_dir / "esc10")
    assert spec == load_recipe("small-cnn").front_end
    assert notes == []


def test_a_class_of_a_lower_rate_or_length_sets_it_for_all(data_dir: Path) -> None:
    """Drones come at 16 kHz and last a second, cars do not: bandwidth or padding alone would tell them apart."""
    spec, notes = adapted(data_dir / "drone_car_speech")
    assert (spec.sample_rate_hz, spec.clip_s) == (16_000, 1.0)
    assert "padding it would tell it from the others" in notes[1]


def test_the_length_of_a_clip() -> None:
    one_each = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    even = np.array([1.9, 2.0, 2.0, 2.0, 2.0, 2.4])
    assert clip_length(even, one_each, 5.0)[0] == 2.2  # 90 % quantile, rounded up to a tenth
    assert clip_length(even * 10, one_each, 5.0)[0] == 5.0
    assert clip_length(even / 100, one_each, 5.0)[0] == 0.5
    apart = np.array([1.37, 1.37, 9.0, 4.0, np.nan, 4.0])
    assert clip_length(apart, one_each, 5.0)[0] == 1.3
    assert clip_length(apart / 10, one_each, 5.0)[0] == 1.0
    assert clip_length(apart * 10, one_each, 5.0)[0] == 5.0
    several = np.ones((6, 2), np.float32)
    assert clip_length(apart, several, 5.0)[0] == 5.0  # every clip has both tags


def test_a_front_end_at_another_rate_keeps_its_times() -> None:
    spec = FeatureSpec(sample_rate_hz=32_000, n_fft=1024, win_length=800, hop_length=320, fmax_hz=15_200.0)
    half = at_rate(spec, 16_000)
    assert (half.n_fft, half.win_length, half.hop_length, half.fmax_hz) == (512, 400, 160, 7600.0)
    assert at_rate(FeatureSpec(fmax_hz=4000.0), 16_000).fmax_hz == 4000.0


def test_a_tag_of_a_handful_of_recordings_makes_it_wary(data_dir: Path) -> None:
    """Five drones were recorded, of which hundreds of clips were cut, and five people."""
    manifest = group_by(
        read_layout(data_dir / "drone_car_speech"),
        ["drone=^(B_S2_D1|Membo_0|Membo_1|Membo_2|extra_membo_D2)", r"car=(\d+)", r"speech=^(\d\d)"],
    )
    assert few_recordings(manifest) == {"drone": 5, "speech": 5}
    notes: list[str] = []
    recipe = adapt(load_recipe("small-cnn"), manifest, notes)
    assert (recipe.augment.equaliser, recipe.model.discriminant) == (1.4, 0.0)
    known = "'drone' is known from 5 recordings of its own: clips are filtered more and no discriminant votes, for"
    assert notes[0].startswith(known)
    notes.clear()
    wary = ["augment.equaliser=1.4", "model.discriminant=0"]
    assert adapt(load_recipe("small-cnn", wary), manifest, notes).augment.equaliser == 1.4
    assert not any("recordings of its own" in note for note in notes)
    free = adapt(load_recipe("small-cnn", ["adapt.recordings=false"]), manifest, [])
    assert (free.augment.equaliser, free.model.discriminant) == (0.3, 0.5)


def test_a_few_speakers_who_say_all_words_are_enough(data_dir: Path, tmp_path: Path) -> None:
    table = tmp_path / "digits.csv"
    paths = sorted((data_dir / "spoken_digits").glob("*.wav"))
    table.write_text("\n".join(["path,labels", *(f"{path},{path.name[0]}" for path in paths)]), encoding="utf-8")
    assert few_recordings(group_by(read_layout(table), [r"^\d_([a-z]+)_"])) == {}


def test_a_set_of_many_recordings_is_taken_as_it_is(data_dir: Path) -> None:
    assert few_recordings(read_layout(data_dir / "instruments")) == {}
    assert few_recordings(read_layout(data_dir / "esc10")) == {}


def test_a_file_that_takes_its_decoder_down_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One crashes, one hangs, one is no sound; the others are probed, and this process lives."""
    for label, names in (("a", ("one", "crash", "text")), ("b", ("two", "hang"))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in names:
            write(tmp_path / "data" / label / f"{name}.wav", np.sin(0.3 * np.arange(24_000)), 16_000)
    (tmp_path / "data/a/text.wav").write_text("no sound")
    (tmp_path / "probing_with_faults.py").write_text(
        "import os, time\n"
        "from earmark.audio.read import probe as real\n"
        "def probe(path):\n"
        "    if 'crash' in path: os.abort()\n"
        "    if 'hang' in path: time.sleep(1000)\n"
        "    return real(path)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import probing_with_faults  # type: ignore[import-not-found]

    monkeypatch.setattr(adapting, "probe", probing_with_faults.probe)
    manifest = read_layout(tmp_path / "data")
    rates, durations = adapting._probe(manifest, workers=2, timeout_s=2.0)
    assert rates == [16_000, 16_000]
    lengths = {Path(uri).stem: length for uri, length in zip(manifest.rows["uri"], durations, strict=True)}
    assert {name for name, length in lengths.items() if np.isnan(length)} == {"crash", "hang", "text"}
    assert (lengths["one"], lengths["two"]) == (1.5, 1.5)
