"""catalog:TASK wherever labelled sounds are taken, and one sentence where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from catalog_rows import RATE_HZ, add_song
from toy_model import TONES, tone, write_toy
from typer.testing import CliRunner, Result

from earmark.catalog.database import Workspace
from earmark.catalog.exchange.importing import import_labels
from earmark.catalog.sets import freeze
from earmark.catalog.tasks import add_clips_to_task, new_task
from earmark.cli.main import app
from earmark.errors import EarmarkError, InputError

Earmark = Callable[..., Result]


@pytest.fixture
def earmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Earmark:
    """In a workspace with six songs of two clips, each one tone, labelled so, and a model that knows these tones."""
    lines = ["recording,start_s,stop_s,annotator,tone"]
    with Workspace.init(tmp_path).catalog() as catalog:
        (tmp_path / "songs").mkdir()
        for i, (name, hz) in enumerate([*TONES.items()] * 2):
            song = f"songs/{name}{i}.wav"
            soundfile.write(tmp_path / song, tone(hz, 2.0 + i, RATE_HZ), RATE_HZ)
            add_song(catalog, song, seconds=2.0, chunk_s=1.0)
            lines += [f"{song},{at},{at + 1},ann,{'present' if name == 'low' else 'absent'}" for at in (0, 1)]
        new_task(catalog, "t", ["low"])
        add_clips_to_task(catalog, "t")
        (tmp_path / "labels.csv").write_text("\n".join(lines).replace(",tone", ",low") + "\n")
        import_labels(catalog, "t", tmp_path / "labels.csv")
        freeze(catalog, "t", "s", "low=present vs absent")
    write_toy(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EARMARK_DATABASE_URL", raising=False)

    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, list(words))
        if isinstance(done.exception, EarmarkError):
            raise done.exception
        return done

    return run


@pytest.mark.parametrize("data", ["catalog:t", "catalog:t@s", "catalog:t?low=present vs absent"])
def test_inspect_looks_at_the_recordings_of_a_task(earmark: Earmark, data: str) -> None:
    found = json.loads(earmark("inspect", data, "--no-report", "--json").stdout)
    assert (found["files"], found["clips"], found["layout"]) == (6, 12, "catalog")
    assert found["verdicts"] == {"read": 6, "partial": 0, "quarantined": 0}
    tags = {row["tag"]: row["files"] for row in found["per_tag"]}
    assert tags["low"] == 2
    assert set(tags) == ({"low"} if data == "catalog:t" else {"low", "not low"})


def test_evaluate_judges_by_a_task(earmark: Earmark) -> None:
    done = earmark("evaluate", "model", "catalog:t?low: low=present vs high: low=absent", "--json")
    found = json.loads(done.stdout)
    assert set(found["metrics"]) >= {"accuracy", "balanced_accuracy", "macro_f1"}
    assert {one["tag"]: one["recall"] for one in found["per_tag"]}["low"] == 1.0


def test_a_recipe_that_tells_classes_apart_makes_them_of_a_task(earmark: Earmark, tmp_path: Path) -> None:
    done = earmark("check", "catalog:t", "--recipe", "sax", "--folds", "2", "--json")
    assert "recipe sax tells classes apart: low=present vs absent (--where says otherwise)" in done.stderr
    found = json.loads(done.stdout)
    assert found["clips"] == 12
    assert "catalog:t?low=present vs absent" in done.stderr
    assert (tmp_path / "check.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inspect", "catalog:x", "--no-report"), r"no task 'x': there are t"),
        (("inspect", "catalog:t@x", "--no-report"), r"task 't' has no set 'x'; it has s"),
        (("inspect", "catalog:t?low=loud", "--no-report"), r"'loud' is no value"),
        (("evaluate", "model", "catalog:t@x"), r"task 't' has no set 'x'"),
        (("check", "catalog:x"), r"no task 'x': there are t"),
        (("export", "spectrograms", "catalog:t@x", "--out", "p"), r"task 't' has no set 'x'"),
        (("tag", "model", "catalog:t"), r"catalog:t: labelled clips of the catalog, and what is tagged are files"),
    ],
)
def test_what_names_no_labels_is_one_sentence(earmark: Earmark, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        earmark(*words)
    assert "\n" not in str(told.value)
