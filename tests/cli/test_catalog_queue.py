"""`earmark catalog queue`: a model folder made on the spot, real songs, and whom the queue then asks what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from catalog_rows import add_song
from toy_model import RATE, write_toy

from earmark.audio.read import read
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.labelling import submit
from earmark.catalog.people import add_person
from earmark.catalog.queueing import next_clips
from earmark.catalog.tables import Clip, Recording
from earmark.errors import EarmarkError, InputError
from earmark.tagging import uncertainty
from earmark.tagging.tagger import load
from earmark.tagging.uncertainty import entropy

Earmark = Callable[..., dict[str, Any]]


@pytest.fixture
def earmark(earmark: Earmark) -> Earmark:
    """The same in a workspace."""
    earmark("init")
    return earmark


def test_a_task_by_uncertainty_says_its_order_until_there_are_scores(earmark: Earmark, tmp_path: Path) -> None:
    with Workspace.open(tmp_path).catalog() as catalog:
        add_song(catalog, "a.wav")
        drawn, unsure = (
            earmark("task", "new", policy, "--tags", "sax", "--policy", policy) for policy in ("random", "uncertainty")
        )
        assert drawn["warnings"] == []
        (said,) = unsure["warnings"]
        assert said == (
            "no model has been asked how sure it is of the clips, so they come in random order until "
            "`earmark catalog queue uncertainty --by uncertainty --model MODEL`."
        )
        assert _asked(catalog, "uncertainty", ["sax"]) == _asked(catalog, "random", ["sax"])  # of one seed


def _asked(catalog: Catalog, task: str, tags: list[str]) -> list[int]:
    """Every clip in the order in which somebody new is asked."""
    who = add_person(catalog, f"{task} {np.random.default_rng().integers(1 << 40)}").id
    given = []
    while held := next_clips(catalog, task, who):
        given.append(held[0].clip_id)
        submit(catalog, held[0].token, dict.fromkeys(tags, "absent"))
    return given


def _doubts(catalog: Catalog, root: Path, model: Path, tags: list[str]) -> dict[int, float]:
    """Reckoned apart: each recording decoded whole, each clip cut from it and given to the model."""
    tagger = load(model, threads=1)
    columns = [tagger.vocabulary.tags.index(tag) for tag in tags]
    with catalog.read() as connection:
        query = sa.select(Clip.id, Clip.start, Clip.stop, Recording.uri, Recording.sample_rate_hz).join(Recording)
        rows = connection.execute(query).all()
    sounds = {row.uri: read(root / row.uri, sample_rate_hz=RATE).samples for row in rows}
    found = {}
    for row in rows:
        start, stop = (round(at / row.sample_rate_hz * RATE) for at in (row.start, row.stop))
        logits, _ = tagger.clip_logits(sounds[row.uri][start:stop])
        found[row.id] = entropy(tagger.header.probabilities(logits)[columns])
    return found


def test_the_queue_asks_first_what_the_model_is_least_sure_of(
    earmark: Earmark, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = sorted((data_dir / "sax_songs" / "audio").iterdir())[:2] + sorted((data_dir / "notes/cello").iterdir())[:3]
    added = earmark("add", *map(str, songs), "--chunk", "5s")
    assert added["clips"] >= 15
    write_toy(tmp_path / "model")
    tags = ["low", "sax", "high"]
    earmark("task", "new", "t", "--tags", ",".join(tags), "--overlap", "9")
    with Workspace.open(tmp_path).catalog() as catalog:
        drawn = _asked(catalog, "t", tags)
        done = earmark("queue", "t", "--by", "uncertainty", "--model", "model")
        assert (done["scored"], done["already"], done["failed"]) == (added["clips"], 0, 0)
        assert (done["tags"], done["unknown_tags"]) == (["low", "high"], ["sax"])
        doubts = _doubts(catalog, tmp_path, tmp_path / "model", ["low", "high"])
        asked = _asked(catalog, "t", tags)
        assert sorted(asked) == sorted(drawn) == sorted(doubts)
        assert asked != drawn
        given = [doubts[clip] for clip in asked]
        assert given == pytest.approx(sorted(given, reverse=True), abs=1e-3)
        assert given[0] > given[-1] + 0.05
        # the same model again hears nothing; a policy that came between is no hindrance
        for policy in ("balanced", "disagreement", "random"):
            assert earmark("queue", "t", "--by", policy)["by"] == policy
        assert _asked(catalog, "t", tags) == drawn
        monkeypatch.setattr(uncertainty, "hear_clips", lambda *_, **__: iter_nothing())
        assert earmark("queue", "t", "--by", "uncertainty", "--model", "model")["already"] == added["clips"]
        assert _asked(catalog, "t", tags) == asked


def iter_nothing():
    """Of a generator whose close is called."""
    yield from ()


def test_what_was_stopped_goes_on_and_what_cannot_be_heard_is_asked_last(
    earmark: Earmark, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "songs").mkdir()
    for song in sorted((data_dir / "notes/cello").iterdir())[:6]:
        (tmp_path / "songs" / song.name).write_bytes(song.read_bytes())
    clips = earmark("add", "songs", "--chunk", "500ms")["clips"]
    earmark("task", "new", "t", "--tags", "low,mid")
    write_toy(tmp_path / "model")
    hear = uncertainty.hear_clips

    def stops(*arguments, **options):
        for number, heard in enumerate(hear(*arguments, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield heard

    monkeypatch.setattr(uncertainty, "hear_clips", stops)
    with pytest.raises(EarmarkError, match=r"what was scored is kept, run the same command again"):
        earmark("queue", "t", "--by", "uncertainty", "--model", "model")
    monkeypatch.setattr(uncertainty, "hear_clips", hear)
    with Workspace.open(tmp_path).catalog() as catalog:
        gone = sorted((tmp_path / "songs").iterdir())[-1]
        with catalog.read() as connection:
            query = sa.select(Clip.id).join(Recording).where(Recording.name == gone.name)
            lost = set(connection.execute(query).scalars())
        gone.unlink()
        done = earmark("queue", "t", "--by", "uncertainty", "--model", "model")
        assert 0 < done["already"] < clips - len(lost)
        assert (done["failed"], done["scored"]) == (len(lost), clips - len(lost))
        assert [Path(error["path"]).name for error in done["errors"]] == [gone.name]
        assert set(_asked(catalog, "t", ["low", "mid"])[-len(lost) :]) == lost


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "uncertainty", "--model", "none"], r"none"),
        (["--by", "random", "--model", "model"], r"--model orders by uncertainty, and --by is 'random'"),
        (
            ["--by", "uncertainty", "--model", "model", "--scores", "s.csv"],
            r"--model and --scores: both say how unsure",
        ),
        (
            ["--by", "uncertainty"],
            r"task 't': no model has been asked how sure it is of its clips; name one",
        ),
        (["--by", "best"], r"policy 'best': expected one of random, balanced, uncertainty, disagreement"),
        (
            ["--by", "uncertainty", "--model", "model"],
            r"model: this model knows low, mid, high, and none of the tags of task 't' \(sax\); train one on catalog:t",
        ),
    ],
)
def test_what_cannot_order_a_queue_is_one_sentence(
    earmark: Earmark, tmp_path: Path, words: list[str], said: str
) -> None:
    write_toy(tmp_path / "model")
    earmark("task", "new", "t", "--tags", "sax")
    with pytest.raises(InputError, match=said):
        earmark("queue", "t", *words)


def test_places_of_who_does_not_listen_are_reopened_and_an_admin_puts_them_back(
    earmark: Earmark, tmp_path: Path
) -> None:
    with Workspace.open(tmp_path).catalog() as catalog:
        add_song(catalog, "a.wav", seconds=200)
    earmark("task", "new", "t", "--tags", "sax", "--overlap", "4")
    dice = np.random.default_rng(0).integers(0, 2, 40)
    lines = ["recording,start_s,stop_s,annotator,sax"]
    for i in range(40):
        said = dict.fromkeys(("ann", "bob", "eve"), i % 3 == 0) | {"dice": bool(dice[i])}
        lines += [f"a.wav,{5 * i},{5 * i + 5},{who},{'present' if yes else 'absent'}" for who, yes in said.items()]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    earmark("import", "labels.csv", "--task", "t")
    told = earmark("status", "t")
    assert (told["done"], told["places_to_reopen"], told["per_annotator"]["dice"]["aside"]) == (40, 40, "rule")
    assert earmark("queue", "t", "--reopen") == {
        "task": "t",
        "by": None,
        "scored": None,
        "aside": ["dice"],
        "back": [],
        "freed": 40,
        "taken": 0,
    }
    assert earmark("status", "t")["done"] == 0
    assert earmark("people", "trust", "dice", "--task", "t") == {"name": "dice", "task": "t", "trust": "trusted"}
    assert earmark("queue", "t", "--reopen", "--by", "random")["back"] == ["dice"]
    assert earmark("status", "t")["done"] == 40
    with pytest.raises(InputError, match=r"--to 'maybe': expected trusted, aside, rule"):
        earmark("people", "trust", "dice", "--task", "t", "--to", "maybe")
    with pytest.raises(InputError, match=r"nothing to do: say the order with --by, or --reopen places"):
        earmark("queue", "t")
