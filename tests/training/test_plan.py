"""From a folder to clips: what the recipe takes from the data, and what stops the run before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soxr

from earmark.audio.read import read
from earmark.audio.write import write
from earmark.errors import InputError, LeakError, SplitError
from earmark.recipes import load_recipe
from earmark.settings import Settings
from earmark.training.feeding import clip_batches
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


# samples at 16 kHz, and the chunks of 2 s that each holds: remainders of 8000 (0.5 s), 4000, 7999 and none, and a clip
LONG = {
    "first": (328_000, 11),
    "second": (324_000, 10),
    "third": (103_999, 3),
    "fourth": (96_000, 3),
    "short": (19_200, 1),
}


@pytest.fixture
def long_recordings(data_dir: Path, tmp_path: Path) -> Path:
    """Five recordings each of drones and cars, three of them long: real ones joined, 16 kHz."""
    for name in ("car", "drone"):
        (tmp_path / "long" / name).mkdir(parents=True)
        paths = iter(sorted((data_dir / "drone_car_speech" / name).glob("*.ogg")))
        for recording, (length, _) in LONG.items():
            parts: list[np.ndarray] = []
            while sum(map(len, parts)) < length:
                audio = read(next(paths))
                parts.append(soxr.resample(audio.samples, audio.sample_rate_hz, 16_000))
            joined = np.concatenate(parts)[:length].astype(np.float32)
            write(tmp_path / "long" / name / f"{recording}.wav", joined, 16_000)
    return tmp_path / "long"


def test_long_recordings_are_cut_to_chunks_that_stay_together(long_recordings: Path, settings: Settings) -> None:
    recipe = load_recipe("drone-car-speech")
    plan = make_plan(long_recordings, recipe, settings=settings)
    rows = plan.manifest.rows
    made = rows["recording"].value_counts().to_dict()
    assert made == {f"{tag}/{name}.wav": n for tag in ("car", "drone") for name, (_, n) in LONG.items()}
    assert rows.groupby("recording")[["group", "split"]].nunique().max().tolist() == [1, 1]
    assert set(rows["split"]) == {"train", "val", "test"}
    assert "8 clips are longer than 2 s and cut into 54 chunks, each a clip of its own" in plan.notes
    assert "4 remainders of less than 0.5 s dropped, 1.5 s in all" in plan.notes
    # every chunk is one window, to learn from and to be judged by
    every = np.arange(len(plan.manifest), dtype=np.int64)
    batches = clip_batches(plan.prepared, recipe)
    assert [len(positions) for positions, _ in batches.covering(every, 1000)] == [len(every)]
    # cut here by hand, from the file
    of_first = np.flatnonzero(rows["recording"] == "drone/first.wav").astype(np.int64)
    samples = read(long_recordings / "drone" / "first.wav").samples
    by_hand = np.zeros((11, 32_000), np.float32)
    by_hand.reshape(-1)[:328_000] = samples  # the eleventh holds half a second
    crops = batches.crops(of_first, np.random.default_rng(0))
    np.testing.assert_allclose(crops, by_hand, atol=np.abs(samples).max() / 32_000)
    assert not crops[10, 8000:].any()


def test_recordings_stay_whole_where_the_recipe_does_not_cut(long_recordings: Path, settings: Settings) -> None:
    whole = make_plan(long_recordings, load_recipe("drone-car-speech", ["cut.chunks=false"]), settings=settings)
    assert len(whole.manifest) == 10
    assert not [note for note in whole.notes if "cut" in note]


def test_a_table_without_a_single_label_is_nothing_to_learn(digits: Path, settings: Settings) -> None:
    table = digits / "sounds.csv"
    table.write_text("path,labels\n0/0_theo_0.wav,\n1/1_theo_0.wav,\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"sounds\.csv: no clip has a label"):
        make_plan(table, load_recipe("small-cnn"), settings=settings)
    table.write_text("path,labels\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"sounds\.csv: no row below the header"):
        make_plan(table, load_recipe("small-cnn"), settings=settings)
