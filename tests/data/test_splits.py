"""Laws of splits: a partition, no group in two parts, the same for the same seed, every class in every part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark import layouts
from earmark.data.manifest import Manifest
from earmark.data.splits import fold_split, folds, group_by, merge_groups, split
from earmark.errors import SplitError
from earmark.types import Vocabulary

DRONES = "drone=^(B_S2_D1|Membo_0|Membo_1|Membo_2|extra_membo_D2)"


def made(
    labels: list[set[int]], groups: list[int], *, tags: int, kind: str = "exclusive", **columns: object
) -> Manifest:
    """A manifest out of thin air: clip i has tags `labels[i]` and is in group `groups[i]`."""
    n = len(labels)
    targets = np.zeros((n, tags), dtype=np.float32)
    for i, found in enumerate(labels):
        targets[i, list(found)] = 1
    rows = pd.DataFrame(
        {
            "uri": [f"/data/{i}.wav" for i in range(n)],
            "recording": [f"{i}.wav" for i in range(n)],
            "start_s": np.nan,
            "stop_s": np.nan,
            "group": [f"g{group}" for group in groups],
            "group_is_given": True,
            "fold": pd.array([None] * n, dtype="Int64"),
            "split": "",
            "trust": "curated",
            "weight": 1.0,
            "licence": None,
            "source": None,
        }
    ).assign(**columns)
    vocabulary = Vocabulary(tuple(f"tag{t}" for t in range(tags)), kind)  # type: ignore[arg-type]
    return Manifest(rows, targets, np.ones_like(targets), vocabulary, Path("/data"), "manifest", "made")


@st.composite
def exclusive_sets(draw: st.DrawFn) -> Manifest:
    """2-4 classes with 3-8 groups of 1-12 clips each."""
    labels: list[set[int]] = []
    groups: list[int] = []
    classes = draw(st.integers(2, 4))
    for tag in range(classes):
        for size in draw(st.lists(st.integers(1, 12), min_size=3, max_size=8)):
            group = groups[-1] + 1 if groups else 0
            labels += [{tag}] * size
            groups += [group] * size
    return made(labels, groups, tags=classes)


def parts_of_groups(manifest: Manifest, column: str) -> pd.Series:
    return manifest.rows.groupby("group")[column].nunique()


@given(exclusive_sets(), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_split_laws(manifest: Manifest, seed: int) -> None:
    done = split(manifest, seed=seed)
    assert set(done.rows["split"]) == {"train", "val", "test"}
    assert (parts_of_groups(done, "split") == 1).all()
    assert (done.counts()[["train", "val", "test"]] > 0).all().all()
    assert split(manifest, seed=seed).rows.equals(done.rows)
    assert np.array_equal(done.targets, manifest.targets)


@given(exclusive_sets(), st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_fold_laws(manifest: Manifest, k: int) -> None:
    done = folds(manifest, k)
    assert sorted(done.rows["fold"].unique()) == list(range(k))
    assert (parts_of_groups(done, "fold") == 1).all()
    for fold in range(k):
        inside = (done.rows["fold"] == fold).to_numpy(dtype=bool)
        assert (done.targets[inside].sum(axis=0) > 0).all()
        again = fold_split(done, fold)
        assert ((again.rows["split"] == "test").to_numpy() == inside).all()
        assert (parts_of_groups(again, "split") == 1).all()


def test_shares_are_honoured_where_groups_are_small() -> None:
    manifest = made([{i % 4} for i in range(400)], list(range(400)), tags=4)
    counts = split(manifest, val=0.1, test=0.2, seed=3).counts()
    assert counts[["train", "val", "test"]].values.tolist() == [[70, 10, 20]] * 4


def test_another_seed_is_another_split() -> None:
    manifest = made([{i % 4} for i in range(400)], list(range(400)), tags=4)
    assert not split(manifest, seed=0).rows["split"].equals(split(manifest, seed=1).rows["split"])


def test_balance_is_no_worse_than_scikit_learns_and_far_better_than_chance() -> None:
    """Uneven groups of up to 30 clips, 6 classes: largest deviation of a class's share in a fold from 1/5."""
    sklearn = pytest.importorskip("sklearn.model_selection")
    rng = np.random.default_rng(5)
    labels: list[set[int]] = []
    groups: list[int] = []
    for group in range(150):
        size = int(rng.integers(1, 30))
        labels += [{int(rng.integers(6))} for _ in range(size)] if group % 3 == 0 else [{group % 6}] * size
        groups += [group] * size
    manifest = made(labels, groups, tags=6)
    classes = manifest.class_indices()

    def worst(fold: np.ndarray) -> float:
        shares = np.array([[(fold[classes == c] == f).mean() for f in range(5)] for c in range(6)])
        return float(np.abs(shares - 0.2).max())

    ours = worst(folds(manifest, 5).rows["fold"].to_numpy(dtype=int))
    theirs_fold = np.zeros(len(manifest), dtype=int)
    splitter = sklearn.StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for f, (_, test) in enumerate(splitter.split(classes, classes, groups)):
        theirs_fold[test] = f
    chance = worst(rng.integers(0, 5, size=150)[np.array(groups)])
    assert ours <= worst(theirs_fold)
    assert ours < chance / 4
    assert ours < 0.02


def test_multilabel_folds_balance_labels_over_groups() -> None:
    """12 tags from common to rare; each fold's share of every tag near 1/4, far nearer than by chance."""
    rng = np.random.default_rng(1)
    likely = np.geomspace(0.5, 0.03, 12)
    group_tags = rng.random((200, 12)) < likely
    groups = np.repeat(np.arange(200), rng.integers(1, 6, size=200))
    labels = [set(np.flatnonzero(group_tags[group] & (rng.random(12) < 0.8)).tolist()) for group in groups]
    manifest = made(labels, groups.tolist(), tags=12, kind="multilabel")

    def deviation(fold: np.ndarray) -> float:
        shares = np.array([manifest.targets[fold == f].sum(axis=0) for f in range(4)]) / manifest.targets.sum(axis=0)
        return float(np.abs(shares - 0.25).mean())

    ours = deviation(folds(manifest, 4).rows["fold"].to_numpy(dtype=int))
    chance = np.mean([deviation(rng.integers(0, 4, size=200)[groups]) for _ in range(20)])
    assert ours < 0.02
    assert ours < chance / 3


def test_a_class_with_too_few_groups_is_told_how_many_it_needs() -> None:
    manifest = made([{0}] * 9 + [{1}] * 9, [0, 1, 2] * 3 + [3, 4, 4] * 3, tags=2)
    with pytest.raises(SplitError, match=r"class 'tag1' has 2 groups, 3 are needed for train, val and test.*--folds 2"):
        split(manifest)
    with pytest.raises(SplitError, match="class 'tag1' has 2 groups, 3 are needed for 3 folds"):
        folds(manifest, 3)
    assert set(split(manifest, val=0.0).rows["split"]) == {"train", "test"}


def test_other_classes_that_are_short_are_counted() -> None:
    labels = [{0}] * 4 + [{1}, {2}, {3}]
    with pytest.raises(SplitError, match=r"class 'tag1' has 1 group.*\(1 more class is short too\)"):
        split(made(labels[:6], list(range(6)), tags=3))
    with pytest.raises(SplitError, match=r"\(2 more classes are short too\)"):
        split(made(labels, list(range(7)), tags=4))


def test_two_folds_of_a_class_with_two_groups_train_without_validation_of_it(caplog: pytest.LogCaptureFixture) -> None:
    manifest = made([{0}] * 9 + [{1}] * 9, [0, 1, 2] * 3 + [3, 4, 4] * 3, tags=2)
    done = fold_split(folds(manifest, 2), 0)
    assert done.counts().loc["tag1", "train"] > 0
    assert "'tag1' has one group outside this fold" in caplog.text


def test_a_class_with_one_file() -> None:
    manifest = made([{0}] * 5 + [{1}], list(range(6)), tags=2)
    with pytest.raises(SplitError, match="class 'tag1' has 1 group, 3 are needed"):
        split(manifest)


def test_one_class() -> None:
    with pytest.raises(SplitError, match=r"only one class \('tag0'\) in 'made'; a tagger needs at least two"):
        split(made([{0}] * 5, list(range(5)), tags=2))


def test_rare_tags_of_multilabel_sets_warn_and_train(caplog: pytest.LogCaptureFixture) -> None:
    labels = [{0}, {0}, {0}, {0}, {0, 1}, {0}, {0}, {0}]
    done = split(made(labels, list(range(8)), tags=2, kind="multilabel"))
    assert done.counts().loc["tag1", "train"] == 1
    assert "1 tag has fewer than 3 groups" in caplog.text


def test_noisy_clips_and_their_groups_only_train() -> None:
    labels = [{i % 2} for i in range(60)]
    trust = ["noisy" if i >= 40 else "curated" for i in range(60)]
    groups = [*range(59), 0]  # clip 0 is curated, but shares its group with the noisy clip 59
    manifest = made(labels, groups, tags=2, trust=trust)
    done = split(manifest)
    assert (done.rows["split"][40:] == "train").all()
    assert done.rows["split"][0] == "train"
    assert folds(manifest, 4).rows["fold"][40:].isna().all()
    assert (fold_split(folds(manifest, 4), 1).rows["split"][40:] == "train").all()


def test_given_splits_are_kept_and_validation_cut_from_train() -> None:
    given = ["train"] * 40 + ["test"] * 10
    done = split(made([{i % 2} for i in range(50)], list(range(50)), tags=2, split=given), val=0.25)
    assert (done.rows["split"][40:] == "test").all()
    assert done.rows["split"][:40].value_counts().to_dict() == {"train": 30, "val": 10}
    whole = split(made([{0}, {1}, {1}], [0, 1, 2], tags=2, split=["train", "val", "test"]))
    assert whole.rows["split"].tolist() == ["train", "val", "test"]


def test_a_split_given_for_some_rows_only_is_refused() -> None:
    manifest = made([{0}, {1}] * 4, list(range(8)), tags=2, split=["train", "", "test", "", "", "", "", ""])
    with pytest.raises(SplitError, match=r"1.wav has no split, others have one"):
        split(manifest)


def test_given_folds_are_kept() -> None:
    manifest = made(
        [{i % 2} for i in range(8)], list(range(8)), tags=2, fold=pd.array([1, 1, 2, 2, 4, 4, 5, 5], "Int64")
    )
    kept = folds(manifest, 4)
    assert kept.rows["fold"].tolist() == [1, 1, 2, 2, 4, 4, 5, 5]
    assert kept.by_fold().split_names == ["fold-1", "fold-2", "fold-4", "fold-5"]
    with pytest.raises(SplitError, match="comes with 4 folds; use --folds 4"):
        folds(manifest, 5)


def test_the_tenth_fold_comes_after_the_ninth() -> None:
    numbers = [10, 9, 1, 2, 3, 4, 5, 6, 7, 8] * 2
    manifest = made([{0}] * 10 + [{1}] * 10, list(range(20)), tags=2, fold=pd.array(numbers, "Int64"))
    assert folds(manifest, 10).by_fold().split_names == [f"fold-{number}" for number in range(1, 11)]


def test_more_folds_than_groups_of_a_multilabel_set_are_refused() -> None:
    manifest = made([{0}, {1}, {0, 1}], [0, 1, 1], tags=2, kind="multilabel")
    with pytest.raises(SplitError, match="--folds 3: the groups here fill 2 folds; ask for no more"):
        folds(manifest, 3)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.9, 0.2)])
def test_impossible_shares(val: float, test: float) -> None:
    with pytest.raises(SplitError, match="together below 1"):
        split(made([{0}, {1}] * 4, list(range(8)), tags=2), val=val, test=test)


def test_unknown_fold_names_those_there_are() -> None:
    manifest = folds(made([{i % 2} for i in range(8)], list(range(8)), tags=2), 2)
    with pytest.raises(SplitError, match="fold 7: no clip is in it; folds here: 0, 1"):
        fold_split(manifest, 7)


def test_merging_is_transitive_and_takes_whole_groups() -> None:
    manifest = made([{0}] * 6, [0, 0, 1, 2, 3, 4], tags=1, group_is_given=False)
    done = merge_groups(manifest, [(1, 2), (4, 2)])
    assert done.rows["group"].tolist() == ["g0", "g0", "g0", "g2", "g0", "g4"]
    assert done.rows["group_is_given"].tolist() == [True, True, True, False, True, False]


def test_groups_of_the_drone_set(data_dir: Path) -> None:
    manifest = layouts.read(data_dir / "drone_car_speech")
    grouped = group_by(manifest, [DRONES, r"car=(\d+)", r"speech=^(\d\d)"])
    of_class = grouped.rows["group"].groupby(grouped.class_indices()).nunique()
    assert of_class.tolist() == [125, 5, 5]  # car, drone, speech
    assert sorted(grouped.rows["group"][grouped.class_indices() == 2].unique()) == [
        "speech:03", "speech:08", "speech:09", "speech:10", "speech:11",
    ]  # fmt: skip
    done = split(grouped)
    assert (parts_of_groups(done, "split") == 1).all()
    assert (done.counts()[["train", "val", "test"]] > 0).all().all()
    drones = done.rows[done.class_indices() == 1].groupby("split")["group"].nunique()
    assert drones.to_dict() == {"test": 1, "train": 3, "val": 1}
    five = folds(grouped, 5)
    assert (five.rows.groupby("fold")["group"].nunique() >= 3).all()


def test_given_folds_of_esc10_hold_their_source_files(data_dir: Path) -> None:
    manifest = folds(layouts.read(data_dir / "esc10"), 4)
    assert (parts_of_groups(manifest, "fold") == 1).all()
    done = fold_split(manifest, 3)
    assert done.rows["split"].value_counts()["test"] == 80
    assert (done.counts()[["train", "val", "test"]] > 0).all().all()


def test_patterns_for_all_and_for_one_class(data_dir: Path) -> None:
    manifest = layouts.read(data_dir / "drone_car_speech")
    grouped = group_by(manifest, [r"speech=^\d\d", r".+"])
    assert grouped.rows["group"][grouped.class_indices() == 0].iloc[0] == "auto_1.ogg"
    assert grouped.rows["group"][grouped.class_indices() == 2].iloc[0] == "speech:03"


def test_a_pattern_with_a_slash_sees_the_folders(data_dir: Path) -> None:
    grouped = group_by(layouts.read(data_dir / "animals"), ["^([^/]+)/"])
    assert grouped.rows["group"].nunique() == 10


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("drone=^(Membo)", r"does not match drone/B_S2_D1_\S+ and \d+ more files; widen it"),
        ("dron=x", "no tag 'dron'; did you mean 'drone'"),
        ("drone=(", "not a regular expression"),
        ("car=(z*)", "does not match car/auto_1.ogg"),
    ],
)
def test_patterns_that_do_not_fit(data_dir: Path, pattern: str, said: str) -> None:
    with pytest.raises(SplitError, match=said):
        group_by(layouts.read(data_dir / "drone_car_speech"), [pattern])
