"""A model folder judged by folders of sounds, through the command people type."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import toy_model
from typer.testing import CliRunner, Result

from earmark.cli.main import app
from earmark.errors import InputError
from earmark.evaluation.calibrate import fit_refusal, reference_bytes
from earmark.evaluation.predict import predict
from earmark.evaluation.run import judge
from earmark.layouts import read
from earmark.tagging.tagger import Tagger, load

RATE = 16_000


def write_tones(folder: Path, tones: dict[str, float], n: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for tag, hz in tones.items():
        (folder / tag).mkdir(parents=True)
        for i in range(n):
            time = np.arange(int(RATE * rng.uniform(0.4, 1.5))) / RATE
            samples = rng.uniform(0.05, 0.5) * np.sin(2 * np.pi * hz * time) + rng.normal(0, 0.05, len(time))
            soundfile.write(folder / tag / f"{tag} {i}.flac", samples, RATE)
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train/` and `new/` with the model's three tones, `more/` with two of them and one it does not know."""
    root = tmp_path_factory.mktemp("tones")
    write_tones(root / "train", toy_model.TONES, 8, 0)
    write_tones(root / "new", toy_model.TONES, 6, 1)
    write_tones(root / "more", {"low": 200.0, "high": 2000.0, "whistle": 3100.0}, 6, 2)
    (root / "new/low/broken.wav").write_bytes(b"RIFF....")
    return root


@pytest.fixture(scope="module")
def model(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy with a refusal, and with the hash of one recording of `new/` among those it was trained on."""
    folder = tmp_path_factory.mktemp("models")
    draft = Tagger(toy_model.write_toy(folder / "draft").bundle, threads=1)
    train, _ = predict(draft, _matched(draft, sounds / "train"))
    refusal, arrays = fit_refusal(train, train)
    from earmark.audio.hashing import audio_sha256
    from earmark.audio.read import read as read_audio

    audio = read_audio(sounds / "new/mid/mid 0.flac")
    seen = io.BytesIO()
    pd.DataFrame({"audio_sha256": [audio_sha256(audio.samples, audio.sample_rate_hz)]}).to_parquet(seen)
    files = {"reference.npz": reference_bytes(arrays), "seen.parquet": seen.getvalue()}
    toy_model.write_toy(folder / "model", files, refusal=refusal)
    return folder / "model"


def _matched(tagger: Tagger, data: Path) -> Any:
    from earmark.evaluation.match import match_tags

    return match_tags(read(data), tagger.vocabulary).known


def earmark(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_holds_the_fixed_keys_and_true_figures(model: Path, sounds: Path) -> None:
    done = earmark("evaluate", model, sounds / "new", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {"metrics", "intervals", "per_tag", "files", "quarantine", "left_out_seen", "unknown"} <= set(found)
    fixed = {"accuracy", "balanced_accuracy", "macro_f1", "roc_auc_macro", "pr_auc_macro", "log_loss", "ece"}
    assert fixed <= set(found["metrics"])
    assert fixed <= set(found["intervals"])
    assert set(found["per_tag"][0]) == {
        "tag", "precision", "recall", "specificity", "f1", "support", "roc_auc", "average_precision", "threshold",
    }  # fmt: skip
    assert found["files"] == 17  # 18 good ones, of which the model was trained on one
    assert found["left_out_seen"] == 1
    assert [(Path(q["path"]).name, q["reason"]) for q in found["quarantine"]] == [("broken.wav", "not-audio")]
    assert found["metrics"]["accuracy"] == 1.0
    assert [row["support"] for row in found["per_tag"]] == [6, 5, 6]


def test_words_name_the_next_step(model: Path, sounds: Path) -> None:
    done = earmark("evaluate", model, sounds / "new", "--include-seen")
    assert done.exit_code == 0, done.output
    assert "18 clips in 18 files" in done.stdout
    assert "left out" not in done.stdout
    assert "Next: earmark evaluate" in done.stdout


def test_report_of_an_evaluation(model: Path, sounds: Path, tmp_path: Path) -> None:
    done = earmark("evaluate", model, sounds / "new", "--out", tmp_path / "report", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["report"] == str(tmp_path / "report/report.html")
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "toy on new" in page
    assert "broken.wav" in page
    assert len(pd.read_parquet(tmp_path / "report/predictions.parquet")) == 17


def test_unknown_tags_are_named_or_judged(model: Path, sounds: Path) -> None:
    with pytest.raises(InputError, match=r"does not know whistle.*--unknown"):
        judge(load(model), sounds / "more")
    found = judge(load(model), sounds / "more", unknown=True)
    assert found.evaluation.clips == 12
    assert found.evaluation.unknown["clips"] == 6
    assert found.evaluation.unknown["auroc"] > 0.9
    assert found.to_json()["unknown_tags"] == ["whistle"]
    assert found.matched.absent_tags == ("mid",)
    assert found.evaluation.per_tag[1]["support"] == 0


def test_of_strangers_alone_the_share_refused_is_said(model: Path, sounds: Path, tmp_path: Path) -> None:
    shutil.copytree(sounds / "more/whistle", tmp_path / "strangers/whistle")
    shutil.copytree(sounds / "more/whistle", tmp_path / "strangers/kettle")
    done = earmark("evaluate", model, tmp_path / "strangers", "--unknown")
    assert done.exit_code == 0, done.output
    assert "strangers: 12 clips in 12 files, all of other kinds" in done.stdout
    share = judge(load(model), tmp_path / "strangers", unknown=True).evaluation.unknown["refused"]
    beside = judge(load(model), sounds / "more", unknown=True).evaluation.unknown["refused"]
    assert share == beside > 0
    assert f"- of 12 clips of other kinds {100 * share:.1f} % are refused\n" in done.stdout
    found = json.loads(earmark("evaluate", model, tmp_path / "strangers", "--unknown", "--json").stdout)
    assert found["unknown"] == {"clips": 12, "refused": share}
    assert (found["clips"], found["metrics"], found["per_tag"], found["files"]) == (0, {}, [], 12)
    assert found["unknown_tags"] == ["kettle", "whistle"]
    refused = earmark("evaluate", model, tmp_path / "strangers", "--unknown", "--out", tmp_path / "report")
    assert isinstance(refused.exception, InputError)
    assert "leave out --out" in str(refused.exception)
    assert not (tmp_path / "report").exists()


def test_groups_from_file_names(model: Path, sounds: Path) -> None:
    by_file = judge(load(model), sounds / "new")
    by_number = judge(load(model), sounds / "new", groups=[r" (\d)\.flac|(broken)"])
    assert by_file.evaluation.groups == 17
    assert by_number.evaluation.groups == 6
    assert any("Only 6 groups" in note for note in by_number.evaluation.notes)


def test_it_agrees_with_the_tagger(model: Path, sounds: Path) -> None:
    tagger = load(model)
    found = judge(tagger, sounds / "new")
    for row in (0, 7):
        scores = tagger.tag(found.clips.uris[row])
        np.testing.assert_allclose(found.clips.logits[row], scores.mean_logits, atol=1e-5)
