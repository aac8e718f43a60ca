"""The demo: the whole loop, small, and its manners towards folders that are not its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earmark.audio.synthetic import KINDS
from earmark.cli.main import app
from earmark.errors import InputError
from earmark.training.demo import Demo, run_demo, to_json


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Iterator[Demo]:
    """One small demo for all tests here: enough recordings that every split holds every class."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARMARK_CACHE_DIR", str(folder / "cache"))
        yield run_demo(folder / "out", epochs=3, per_class=8, fresh_per_class=3, say=told.append)


def test_it_leaves_a_model_a_report_and_a_scene(demo: Demo) -> None:
    assert (demo.out / "model" / "model.onnx").is_file()
    assert demo.report.is_file()
    assert demo.scene.is_file()


def test_the_bad_files_are_left_out_or_named_and_the_copy_is_kept_with_its_original(demo: Demo) -> None:
    left_out = {Path(bad.path).name: str(bad.reason) for bad in demo.quarantine}
    assert left_out == {"engine_dead_battery.wav": "empty"}
    rows = demo.result.plan.manifest.rows.set_index("recording")
    original, copy = rows.loc["whistle/whistle_01.wav"], rows.loc["whistle/whistle_01_from_the_web.mp3"]
    assert original["group"] == copy["group"]
    assert original["split"] == copy["split"]


def test_every_new_recording_is_judged_but_the_empty_one(demo: Demo) -> None:
    assert demo.fresh.clips == 6 * 3 + 2


@pytest.mark.slow
def test_the_demo_as_people_run_it_is_right_nearly_always(tmp_path: Path) -> None:
    made = run_demo(tmp_path / "demo")
    assert made.fresh.metrics["accuracy"] >= 0.95
    assert sum(heard.is_right for heard in made.heard) >= 7


def test_the_scene_is_heard_event_by_event(demo: Demo) -> None:
    assert [heard.event.start_s for heard in demo.heard] == [i * 3.75 for i in range(8)]
    assert all(heard.tag in KINDS and 0.0 < heard.probability <= 1.0 for heard in demo.heard)


def test_it_says_what_it_does_in_plain_words(demo: Demo, told: list[str]) -> None:
    text = "\n".join(told)
    assert f"Made 48 recordings of 6 kinds (bell, bird, drum, engine, whistle, wind) in {demo.out}/sounds/" in text
    assert "8 sounds follow one another" in text


def test_the_json_holds_paths_figures_and_the_scene(demo: Demo) -> None:
    document = json.loads(json.dumps(to_json(demo)))
    assert document["report"] == str(demo.report)
    assert len(document["scene"]) == 8
    assert list(document["seconds"]) == ["make sounds", "train", "evaluate", "tag"]
    assert sum(map(sum, document["confusion"])) == 20


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    mine = tmp_path / "sounds" / "mine.txt"
    mine.write_text("keep me", encoding="utf-8")
    with pytest.raises(InputError, match="holds something that no demo made"):
        run_demo(tmp_path)
    assert mine.read_text(encoding="utf-8") == "keep me"


def test_a_file_in_the_way_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    taken = tmp_path / "demo"
    taken.write_text("", encoding="utf-8")
    done = CliRunner().invoke(app, ["demo", "--out", str(taken)])
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert str(done.exception) == f"{taken}: a file; give a folder that the demo may make, such as --out demo."
