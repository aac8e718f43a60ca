"""`catalog:TASK` is read like a folder of sounds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from catalog_rows import RATE_HZ, add_song

from earmark import layouts
from earmark.audio.write import write
from earmark.catalog.database import Workspace
from earmark.catalog.exchange.exporting import export_labels
from earmark.catalog.exchange.importing import import_labels
from earmark.catalog.sets import ClipSet, SetRow, freeze
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task
from earmark.errors import CatalogError, InputError, LayoutError, NotFoundError
from earmark.layouts.catalog import manifest_of, parse, with_where
from earmark.types import LabelValue, Samples

LABELS = """recording,start_s,stop_s,annotator,kind,group,sax,vocals
songs/a.wav,0,0.5,ada,label,Chuck Berry,foreground,absent
songs/a.wav,0.5,1,ada,label,Chuck Berry,background,foreground
songs/b.wav,0,0.5,ada,label,,absent,unsure
songs/b.wav,0.5,1,ada,skip,,,
"""


def noise(seconds: float) -> Samples:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE_HZ)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two songs of two clips, three of them labelled; one stands in a folder within it."""
    root = tmp_path / "workspace"
    with Workspace.init(root).catalog() as catalog:
        for song in ("a", "b"):
            path = root / "songs" / f"{song}.wav"
            path.parent.mkdir(exist_ok=True)
            write(path, noise(1.0), RATE_HZ)
            add_song(catalog, f"songs/{song}.wav", seconds=1.0, chunk_s=0.5)
        new_task(catalog, "sax", ["sax", "vocals"], scale=["foreground", "background", "absent"])
        add_clips_to_task(catalog, "sax")
        (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
        import_labels(catalog, "sax", tmp_path / "labels.csv")
        freeze(catalog, "sax", "two", "sax=foreground vs absent")
    monkeypatch.chdir(root / "songs")
    monkeypatch.delenv("EARMARK_DATABASE_URL", raising=False)
    return root


def test_a_task_is_multilabel_and_what_nobody_knows_weighs_nothing(root: Path) -> None:
    found = layouts.read("catalog:sax")
    assert (found.layout, found.name, found.vocabulary.kind) == ("catalog", "sax", "multilabel")
    assert found.vocabulary.tags == ("sax", "vocals")
    assert found.rows["recording"].tolist() == ["songs/a.wav", "songs/a.wav", "songs/b.wav"]
    assert found.rows["uri"].tolist()[0] == str(root / "songs" / "a.wav")
    assert found.targets.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert found.weights.tolist() == [[1, 1], [1, 1], [1, 0]]
    assert found.rows["stop_s"].tolist() == [0.5, 1.0, 0.5]
    assert math.isnan(found.rows["start_s"][0])
    assert found.rows["group"].tolist() == ["Chuck Berry", "Chuck Berry", "songs/b.wav"]
    assert found.rows["group_is_given"].tolist() == [True, True, False]


@pytest.fixture
def doubted(root: Path, tmp_path: Path) -> Path:
    """The same workspace: eve hears vocals where ada does not, and answers sax alone of a clip that ada skipped."""
    rows = ["recording,start_s,stop_s,annotator,sax,vocals", "a.wav,0,0.5,eve,foreground,background"]
    (tmp_path / "eve.csv").write_text("\n".join([*rows, "b.wav,0.5,1,eve,absent,", ""]), encoding="utf-8")
    with Workspace.open(root).catalog() as catalog:
        import_labels(catalog, "sax", tmp_path / "eve.csv")
    return root


def test_a_doubtful_tag_does_not_weaken_a_sure_one(root: Path, tmp_path: Path) -> None:
    F, A = LabelValue.FOREGROUND, LabelValue.ABSENT
    with Workspace.open(root).catalog() as catalog:
        task = get_task(catalog, "sax")
    both = SetRow(
        1, root / "songs/a.wav", "", 0, 4000, 8000, {"sax": (F, 0.95), "vocals": (A, 0.55)}, None, *[None] * 3
    )
    one = replace(both, start=4000, stop=8000, values={"vocals": (F, 1.0)})
    found = manifest_of(ClipSet(task, None, (), (both, one), {}), root, "catalog:sax")
    weights = np.array([[0.95, 0.55], [0.0, 1.0]], dtype=np.float32)
    assert found.targets.tolist() == [[1, 0], [0, 1]]
    np.testing.assert_array_equal(found.weights, weights)
    np.testing.assert_array_equal(found.loss_weights, weights)
    assert found.rows["weight"].tolist() == [1.0, 1.0]
    classes = [replace(both, class_name="sax"), replace(one, class_name="rest")]
    told = manifest_of(ClipSet(task, None, ("sax", "rest"), tuple(classes), {}), root, "catalog:sax")
    assert told.rows["weight"].tolist() == [0.75, 1.0]  # 0.95 and 0.55, both of which make it of its class
    assert told.weights.tolist() == [[1, 1], [1, 1]]
    found.to_csv(root / "manifest.csv")
    again = layouts.read(root / "manifest.csv")
    assert again.fingerprint() == replace(found, rows=found.rows.assign(group=again.rows["group"])).fingerprint()


def test_an_audiofolder_of_it_trains_alike(doubted: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(doubted)
    with workspace.catalog() as catalog:
        export_labels(workspace, catalog, "sax", tmp_path / "out", "audiofolder")
    mine, theirs = layouts.read("catalog:sax"), layouts.read(tmp_path / "out")
    assert (theirs.layout, theirs.vocabulary) == ("audiofolder", mine.vocabulary)
    assert theirs.targets.tolist() == mine.targets.tolist() == [[1, 0], [1, 1], [0, 0], [0, 0]]
    known = [[1, 0], [1, 1], [1, 0], [1, 0]]  # in dispute, agreed, unsure, unanswered
    assert (theirs.weights > 0).tolist() == (mine.weights > 0).tolist() == np.array(known, dtype=bool).tolist()
    assert 0.5 < mine.weights[1, 1] < 1.0  # of one person's word each tag is as sure as it is
    assert theirs.weights.tolist() == mine.weights.tolist()
    assert theirs.rows["weight"].tolist() == mine.rows["weight"].tolist() == [1.0] * 4
    assert theirs.rows["group"].tolist() == mine.rows["group"].tolist()


@pytest.mark.parametrize("name", ["catalog:sax?sax=foreground vs absent", "catalog:sax@two"])
def test_classes_are_exclusive(root: Path, name: str) -> None:
    found = layouts.read(Path(name))  # as the command line hands it over
    assert (found.vocabulary.tags, found.vocabulary.kind) == (("sax", "not sax"), "exclusive")
    assert found.class_indices().tolist() == [0, 1]
    assert found.rows["weight"].tolist() == [1.0, 1.0]


def test_a_filter_leaves_the_tags_as_they_are(root: Path) -> None:
    found = layouts.read("catalog:sax?sax=present")
    assert (len(found), found.vocabulary.kind) == (2, "multilabel")


def test_a_task_suggests_the_classes_of_its_namesake(root: Path) -> None:
    assert layouts.catalog.in_classes("catalog:sax") == "catalog:sax?sax=foreground vs absent"
    with pytest.raises(InputError, match="such as 'sax=foreground & vocals=absent vs sax=absent & vocals=absent'"):
        layouts.catalog.in_classes("catalog:sax?vocals=absent")
    with Workspace.open(root).catalog() as catalog:
        new_task(catalog, "who", ["ann"])
        new_task(catalog, "band", ["piano", "drums"])
    assert layouts.catalog.in_classes("catalog:who@kept") == "catalog:who@kept?ann=present vs absent"
    with pytest.raises(InputError, match=r"asks about piano, drums, .* such as --where 'piano=present vs absent'"):
        layouts.catalog.in_classes("catalog:band")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("catalog:drums", NotFoundError, "no task 'drums': there are sax"),
        ("catalog:sax@one", NotFoundError, "task 'sax' has no set 'one'; it has two"),
        ("catalog:sax?sax=loud", InputError, "'loud' is no value"),
        ("catalog:sax?vocals=foreground & sax=absent", LayoutError, "no labelled clip (left out: 3 of no class)"),
        ("catalog:sax?sax=absent vs vocals=background", LayoutError, "no labelled clip of the class 'vocals'"),
        ("catalog:", InputError, "expected catalog:TASK, catalog:TASK@SET or catalog:TASK?WHERE"),
        ("catalog:sax@", InputError, "expected catalog:TASK"),
    ],
)
def test_what_is_not_there_is_said(root: Path, name: str, error: type[InputError], said: str) -> None:
    with pytest.raises(error) as caught:
        layouts.read(name)
    assert said in str(caught.value)


def test_away_from_any_workspace_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match="make one with `earmark catalog init`"):
        layouts.read("catalog:sax")


def test_a_layout_beside_it_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="leave --layout folder out"):
        layouts.read("catalog:sax", layout="folder")
    with pytest.raises(InputError, match="--layout catalog needs a task"):
        layouts.read(root, layout="catalog")
    assert len(layouts.read("catalog:sax", layout="catalog")) == 3


def test_a_folder_of_that_name_is_still_a_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tag in ("x", "y"):
        (root / "catalog:sax" / tag).mkdir(parents=True)
        write(root / "catalog:sax" / tag / "1.wav", noise(0.5), RATE_HZ)
    monkeypatch.chdir(root)
    assert layouts.read("catalog:sax").layout == "folder"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("catalog:sax", ("sax", None, None)),
        ("catalog:sax@set 1", ("sax", "set 1", None)),
        ("catalog:sax?a=present vs absent", ("sax", None, "a=present vs absent")),
        ("catalog:sax@s?a=present", ("sax", "s", "a=present")),
    ],
)
def test_parts_of_a_name(text: str, parts: tuple[str | None, ...]) -> None:
    assert parse(text) == parts


def test_where_can_stand_beside_the_name(root: Path) -> None:
    assert with_where(Path("sounds"), None) == Path("sounds")
    named = with_where(Path("catalog:sax"), "sax=foreground vs absent")
    assert layouts.read(named).vocabulary.tags == ("sax", "not sax")
    with pytest.raises(InputError, match="has a condition already"):
        with_where(named, "sax=present vs absent")
    with pytest.raises(InputError, match="it chooses labels of catalog:TASK"):
        with_where(Path("sounds"), "sax=present vs absent")
