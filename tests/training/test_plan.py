"""From a folder to clips: what the recipe takes from the data, and what stops the run before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from earmark.audio.read import read
from earmark.audio.write import write
from earmark.errors import InputError, LeakError, SplitError
from earmark.recipes import load_recipe
from earmark.settings import Settings
from earmark.training.plan import make_plan


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", workers=2, decode_timeout_s=60)


def test_copies_of_one_recording_are_never_parted(digits: Path, settings: Settings) -> None:
    audio = read(digits / "0" / "0_theo_3.wav")
    # another container, another level: still the same recording
    write(digits / "0" / "copy.flac", (audio.samples * 0.5).astype(np.float32), audio.sample_rate_hz)
    for seed in range(3):
        recipe = load_recipe("small-cnn", [f"training.seed={seed}"])
        plan = make_plan(digits, recipe, settings=settings)
        rows = plan.manifest.rows
        split = dict(zip(rows["recording"], rows["split"], strict=True))
        assert split["0/copy.flac"] == split["0/0_theo_3.wav"]
    assert "1 group was merged for holding copies of the same recording" in plan.notes


def test_a_given_split_with_the_same_audio_on_both_sides_stops_the_run(
    digits: Path, settings: Settings, tmp_path: Path
) -> None:
    lines = ["path,labels,split"]
    for number, path in enumerate(sorted(digits.rglob("*.wav"))):
        lines.append(f"{path.relative_to(digits)},{path.parent.name},{('train', 'val', 'test')[number % 3]}")
    shutil.copy(digits / "0/0_theo_3.wav", digits / "twice.wav")
    lines += ["twice.wav,0,train", ""]
    where = next(line for line in lines if "0_theo_3" in line)
    lines[lines.index(where)] = "0/0_theo_3.wav,0,test"
    manifest = digits / "manifest.csv"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    recipe = load_recipe("small-cnn")
    with pytest.raises(LeakError, match=r"twice\.wav"):
        make_plan(manifest, recipe, settings=settings)
    plan = make_plan(manifest, recipe, settings=settings, allow_leak=True)
    assert len(plan.leaks) == 1
    assert any(note.startswith("LEAK ALLOWED: 1 pair of clips shares audio") for note in plan.notes)


def test_folds_are_by_speaker_when_told(digits: Path, settings: Settings) -> None:
    plan = make_plan(digits, load_recipe("small-cnn"), group_by=[r"^\d_([a-z]+)_"], folds=2, settings=settings)
    rows = plan.manifest.rows
    assert rows.groupby("group")["fold"].nunique().max() == 1
    assert set(rows["fold"]) == {0, 1}


def test_what_cannot_be_trained_on_is_refused_in_one_sentence(digits: Path, settings: Settings) -> None:
    recipe = load_recipe("small-cnn")
    shutil.rmtree(digits / "1")
    with pytest.raises(InputError, match=r"one class|only one|nothing that says"):
        make_plan(digits, recipe, settings=settings)
    (digits / "1").mkdir()
    shutil.copy(digits / "0/0_theo_3.wav", digits / "1/single.wav")
    with pytest.raises(SplitError, match="'1'"):
        make_plan(digits, recipe, settings=settings)
    for path in digits.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no file could be used"):
        make_plan(digits, recipe, settings=settings)


def test_a_table_without_a_single_label_is_nothing_to_learn(digits: Path, settings: Settings) -> None:
    table = digits / "sounds.csv"
    table.write_text("path,labels\n0/0_theo_0.wav,\n1/1_theo_0.wav,\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"sounds\.csv: no clip has a label"):
        make_plan(table, load_recipe("small-cnn"), settings=settings)
    table.write_text("path,labels\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"sounds\.csv: no row below the header"):
        make_plan(table, load_recipe("small-cnn"), settings=settings)
