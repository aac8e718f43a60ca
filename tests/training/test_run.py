"""A folder of real sounds in, a model folder out; every promised file, and the same answers from torch and from it."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from earmark.audio.read import read
from earmark.bundle.load import load_bundle
from earmark.cli.console import Console
from earmark.cli.train import show, summary
from earmark.errors import BundleError, InputError, Interrupted, RecipeError
from earmark.models import build
from earmark.recipes import load_recipe
from earmark.settings import Settings
from earmark.tagging.tagger import load
from earmark.training.run import Result, train

QUICK = [
    "training.epochs=30",
    "training.batch_size=16",
    "model.members=1",
    "model.arguments.widths=[8, 16, 16, 32]",
    "adapt.clip_s=false",
    "front_end.clip_s=1.0",
]


@pytest.fixture(scope="module")
def sounds(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 24 real recordings, one empty file and one that is no audio among them."""
    folder = tmp_path_factory.mktemp("sounds")
    for name in ("Bass_drum", "Clarinet", "Hi_hat"):
        (folder / name).mkdir()
        for path in sorted((data_dir / "instruments" / name).glob("*.ogg"))[:24]:
            shutil.copy(path, folder / name)
    (folder / "Clarinet" / "empty.wav").touch()
    (folder / "Hi_hat" / "words.wav").write_text("not audio at all", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(cache_dir=tmp_path_factory.mktemp("cache"), workers=2, decode_timeout_s=60)


@pytest.fixture(scope="module")
def trained(sounds: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("out") / "model"
    return train(sounds, out, recipe=load_recipe("small-cnn", QUICK), settings=settings)


def test_the_model_folder_is_whole(trained: Result) -> None:
    held = {path.relative_to(trained.out).as_posix() for path in trained.out.rglob("*") if path.is_file()}
    assert held >= {
        "earmark.json",
        "model.onnx",
        "weights.safetensors",
        "seen.parquet",
        "reference.npz",
        "README.md",
        "report/report.html",
        "report/report.txt",
        "report/metrics.json",
        "report/confusion_matrix.png",
        "report/predictions.parquet",
        "report/pred_labels.npy",
        "report/true_labels.npy",
        "report/val_report.txt",
        "report/val_confusion_matrix.png",
        "report/train.csv",
        "report/val.csv",
        "report/test.csv",
        "report/metadata.json",
        "report/best_model.pt",
    }
    bundle = load_bundle(trained.out)
    assert bundle.header.provenance["data"]["clips"] == 72
    assert bundle.header.refusal is not None
    assert bundle.header.calibration.kind == "temperature"
    assert not (trained.out.parent / ".model.training").exists()
    assert list((trained.out / "report" / "tensorboard").glob("events.out.tfevents.*"))


def test_bad_files_cost_nothing_but_themselves(trained: Result) -> None:
    bad = {Path(q.path).name: str(q.reason) for q in trained.plan.prepared.quarantine}
    assert bad == {"empty.wav": "empty", "words.wav": "not-audio"}
    assert "words.wav" in (trained.out / "report" / "report.html").read_text(encoding="utf-8")


def test_no_recording_stands_in_two_splits_and_none_is_lost(trained: Result) -> None:
    tables = {name: pd.read_csv(trained.out / "report" / f"{name}.csv") for name in ("train", "val", "test")}
    paths = [path for table in tables.values() for path in table["src"]]
    assert len(paths) == len(set(paths)) == 72
    assert all(set(table["label"]) == {"Bass_drum", "Clarinet", "Hi_hat"} for table in tables.values())


def test_the_published_state_dict_loads_without_pickle_and_gives_what_the_model_file_gives(
    trained: Result, sounds: Path
) -> None:
    report = trained.out / "report"
    (named,) = report.glob("best_epoch_030_acc_*_seed_0.pt")
    state = torch.load(report / "best_model.pt", weights_only=True)
    assert named.read_bytes() == (report / "best_model.pt").read_bytes()
    header = load_bundle(trained.out).header
    assert header.architecture.discriminant == 0.5  # the recipe's default
    net = build(
        header.architecture.name,
        header.architecture.arguments,
        n_tags=3,
        shape=header.front_end.shape(),
        members=header.architecture.members,
        discriminant=header.architecture.discriminant,
    ).eval()
    net.load_state_dict(state)
    tagger = load(trained.out)
    samples = read(sorted((sounds / "Clarinet").glob("*.ogg"))[0], sample_rate_hz=tagger.sample_rate_hz).samples
    window = np.resize(samples, tagger.window_samples)[None]
    with torch.no_grad():
        logits = net(trained.fitted[0].front_end(torch.from_numpy(window)))[0].numpy()
    np.testing.assert_allclose(tagger.run(window)[0], logits, atol=1e-4)


def test_it_tells_three_instruments_apart(trained: Result) -> None:
    assert trained.judged == "test"
    assert trained.evaluations["test"].metrics["accuracy"] > 0.6
    figures = json.loads((trained.out / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert "test" in json.dumps(figures)


def test_a_model_is_not_written_over(trained: Result, sounds: Path, settings: Settings) -> None:
    with pytest.raises(BundleError):
        train(sounds, trained.out, recipe=load_recipe("small-cnn", QUICK), settings=settings)


def test_folds_become_one_model_judged_by_clips_its_parts_had_not_heard(
    sounds: Path, settings: Settings, tmp_path: Path
) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=8"])
    result = train(sounds, tmp_path / "model", recipe=recipe, folds=3, settings=settings)
    assert result.judged == "folds"
    assert result.evaluations["folds"].clips == 72
    assert len(result.fold_metrics) == len(result.fitted) == 3
    tagger = load(tmp_path / "model")
    assert tagger.header.members == 3
    assert tagger.header.embedding_size == 3 * 32
    window = np.random.default_rng(0).normal(0, 0.1, (2, tagger.window_samples)).astype(np.float32)
    members = [fitted.net(fitted.front_end(torch.from_numpy(window)))[0] for fitted in result.fitted]
    np.testing.assert_allclose(tagger.run(window)[0], torch.stack(members).mean(0).detach().numpy(), atol=1e-4)
    scores = tagger.tag(sorted((sounds / "Clarinet").glob("*.ogg"))[0])
    assert scores.unknown is not None
    report = tmp_path / "model" / "report"
    tables = [pd.read_csv(report / f"fold-{fold}.csv") for fold in range(3)]
    assert sum(len(table) for table in tables) == 72
    assert len({path for table in tables for path in table["path"]}) == 72
    assert json.loads((report / "metadata.json").read_text(encoding="utf-8"))["clips"]["fold-0"] == len(tables[0])
    assert "loss of 3 folds and their mean" in (report / "report.html").read_text(encoding="utf-8")


def test_folds_are_named_by_the_numbers_of_the_data(
    sounds: Path,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = ["path,labels,fold"]
    for number, path in enumerate(sorted(sounds.rglob("*.ogg"))):
        lines.append(f"{path},{path.parent.name},{(3, 10)[number % 2]}")
    (tmp_path / "manifest.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=2"])
    with caplog.at_level(logging.INFO, "earmark.training"):
        result = train(tmp_path / "manifest.csv", tmp_path / "model", recipe=recipe, folds=2, settings=settings)
    assert result.plan.folds == [3, 10]
    assert "fold 3 (1 of 2): 36 clips to train on" in caplog.text
    assert "fold 10 (2 of 2): 36 clips to train on" in caplog.text
    assert {note[:8] for note in result.notes if note.startswith("fold ")} == {"fold 3: ", "fold 10:"}
    report = tmp_path / "model" / "report"
    assert {path.name for path in report.glob("fold-*.csv")} == {"fold-3.csv", "fold-10.csv"}
    assert {path.name for path in (report / "tensorboard").iterdir()} == {"fold-3", "fold-10"}
    assert "fold-10 clips" in (report / "report.html").read_text(encoding="utf-8")
    assert summary(result)["folds"] == [3, 10]
    capsys.readouterr()
    show(Console(), result)
    assert re.search(r"accuracy by fold: 3: \d\.\d+, 10: \d\.\d+", capsys.readouterr().out)


@pytest.mark.slow
def test_chunks_of_a_recording_are_learnt_and_judged_each_by_itself(
    sounds: Path, settings: Settings, tmp_path: Path
) -> None:
    recipe = load_recipe("drone-car-speech", ["training.epochs=1"])
    result = train(sounds, tmp_path / "model", recipe=recipe, settings=settings)
    expected = 0
    for path in sounds.rglob("*.ogg"):
        whole, rest = divmod(soundfile.info(path).duration, 2.0)
        expected += max(1, int(whole) + (rest >= 0.5))
    tables = {name: pd.read_csv(tmp_path / "model" / "report" / f"{name}.csv") for name in ("train", "val", "test")}
    assert sum(map(len, tables.values())) == expected > 72
    every = pd.concat(tables.values())
    assert every["id"].is_unique
    assert not set(tables["train"]["src"]) & {*tables["val"]["src"], *tables["test"]["src"]}
    for name in ("val", "test"):
        assert result.evaluations[name].clips == len(tables[name])
        assert result.evaluations[name].groups == tables[name]["src"].nunique()


def test_classes_left_out_are_never_learnt_and_measure_the_refusal(
    sounds: Path, settings: Settings, tmp_path: Path
) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=8"])
    result = train(sounds, tmp_path / "model", recipe=recipe, leave_out=["Hi_hat"], settings=settings)
    bundle = load_bundle(tmp_path / "model")
    assert bundle.header.vocabulary.tags == ("Bass_drum", "Clarinet")
    assert bundle.header.provenance["left_out"] == ["Hi_hat"]
    strangers = result.plan.strangers
    assert strangers is not None
    assert len(strangers.rows) == 24
    heard = {strangers.prepared.audio_hash(int(row)) for row in strangers.rows}
    assert not heard & bundle.seen()
    tables = [pd.read_csv(tmp_path / "model" / "report" / f"{name}.csv") for name in ("train", "val", "test")]
    assert {label for table in tables for label in table["label"]} == {"Bass_drum", "Clarinet"}
    refusal, found = bundle.header.refusal, result.evaluations["test"].unknown
    assert refusal is not None
    assert 0 <= found["auroc"] <= 1
    assert refusal.auroc == found["auroc"]
    assert refusal.false_refusals == found["known_refused"]
    assert refusal.details["left_out"] == ["Hi_hat"]
    assert refusal.details["auroc_by_score"]["mahalanobis"] == pytest.approx(found["auroc"])
    assert "auroc" not in result.evaluations["val"].unknown
    for name in ("report.txt", "report.html"):
        assert "AUROC unknown against known" in (tmp_path / "model" / "report" / name).read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "model" / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert figures["test"]["unknown"]["clips"] == 24
    assert "left out of its training (Hi_hat)" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_each_fold_hears_the_classes_that_are_left_out(sounds: Path, settings: Settings, tmp_path: Path) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=4"])
    result = train(sounds, tmp_path / "model", recipe=recipe, folds=2, leave_out=["Hi_hat"], settings=settings)
    found = result.evaluations["folds"].unknown
    assert found["clips"] == 24
    refusal = load_bundle(tmp_path / "model").header.refusal
    assert refusal is not None
    assert refusal.auroc == found["auroc"]
    assert refusal.details["judged_on"] == "folds"


def test_leaving_out_a_class_that_is_not_there_names_the_nearest(
    sounds: Path, settings: Settings, tmp_path: Path
) -> None:
    recipe = load_recipe("small-cnn", QUICK)
    with pytest.raises(InputError, match=r"--leave-out: tag 'Hi_hut' is not in .* did you mean 'Hi_hat'"):
        train(sounds, tmp_path / "model", recipe=recipe, leave_out=["Hi_hut"], settings=settings)
    with pytest.raises(InputError, match=r"leaves only 'Bass_drum' of 3 classes .* at least two"):
        train(sounds, tmp_path / "model", recipe=recipe, leave_out=["Hi_hat", "Clarinet"], settings=settings)
    with pytest.raises(InputError, match=r"this split has none; --set split.val=0.15"):
        train(
            sounds,
            tmp_path / "model",
            recipe=load_recipe("small-cnn", [*QUICK, "split.val=0"]),
            leave_out=["Hi_hat"],
            settings=settings,
        )


def test_a_report_alone_wants_a_folder_of_its_own(sounds: Path, settings: Settings, tmp_path: Path) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=2", "model.arguments.widths=[4, 4, 4, 4]"])
    train(sounds, tmp_path / "cv", recipe=recipe, folds=2, ensemble=False, settings=settings)
    assert (tmp_path / "cv" / "report" / "report.html").exists()
    assert not (tmp_path / "cv" / "earmark.json").exists()
    with pytest.raises(InputError, match="folder of its own"):
        train(sounds, tmp_path / "cv", recipe=recipe, folds=2, ensemble=False, settings=settings)


def test_nothing_is_fitted_on_the_clips_that_judge(sounds: Path, settings: Settings, tmp_path: Path) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=2", "split.val=0"])
    result = train(sounds, tmp_path / "model", recipe=recipe, settings=settings)
    header = load_bundle(tmp_path / "model").header
    assert header.calibration.kind == "none"
    assert header.refusal is None
    assert any("not calibrated" in note for note in result.notes)


def test_other_sounds_under_the_same_names_are_no_reason_to_go_on(
    sounds: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earmark.training import run

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=2"])
    changed = tmp_path / "sounds"
    shutil.copytree(sounds, changed)
    with monkeypatch.context() as stopped:
        stopped.setattr(run, "finish", interrupted)
        with pytest.raises(Interrupted, match="the same command goes on"):
            train(changed, tmp_path / "model", recipe=recipe, settings=settings)
    first, second = sorted((changed / "Clarinet").glob("*.ogg"))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match="other data"):
        train(changed, tmp_path / "model", recipe=recipe, settings=settings)


def test_a_figure_that_the_data_does_not_have_cannot_choose(sounds: Path, settings: Settings, tmp_path: Path) -> None:
    recipe = load_recipe("small-cnn", [*QUICK, "training.monitor=lwlrap"])
    with pytest.raises(RecipeError, match="expected one of loss, macro_f1, accuracy"):
        train(sounds, tmp_path / "model", recipe=recipe, settings=settings)


def test_unfinished_work_of_other_data_is_not_mixed_in(sounds: Path, settings: Settings, tmp_path: Path) -> None:
    work = tmp_path / ".model.training"
    work.mkdir()
    (work / "state.json").write_text(json.dumps({"data": "other", "recipe": "other", "folds": None}), encoding="utf-8")
    recipe = load_recipe("small-cnn", QUICK)
    with pytest.raises(InputError, match="unfinished training of other data and recipe"):
        train(sounds, tmp_path / "model", recipe=recipe, settings=settings)
    with pytest.raises(InputError, match="--resume: no unfinished training"):
        train(sounds, tmp_path / "elsewhere", recipe=recipe, settings=settings, resume=True)


@pytest.mark.slow
def test_kill_9_at_any_moment_costs_at_most_a_few_seconds(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    options = [part for override in [*QUICK, "training.epochs=60"] for part in ("--set", override)]
    command = [sys.executable, "-m", "earmark.cli.main", "train", str(sounds), "--out", str(out), *options]
    environment = os.environ | {"EARMARK_CACHE_DIR": str(tmp_path / "cache")}
    rng = np.random.default_rng(0)
    for _ in range(5):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        time.sleep(float(rng.uniform(3, 14)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["evaluations"]["test"]["clips"] > 0
    load_bundle(out)


@pytest.mark.slow
def test_sigterm_ends_a_training_in_one_sentence_and_the_same_command_goes_on(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    options = [part for override in [*QUICK, "training.epochs=40"] for part in ("--set", override)]
    command = [sys.executable, "-m", "earmark.cli.main", "train", str(sounds), "--out", str(out), *options]
    environment = os.environ | {"EARMARK_CACHE_DIR": str(tmp_path / "cache")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / ".model.training"
    while process.poll() is None and not list(checkpoints.rglob("last.ckpt")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    *_, last = told.splitlines()
    assert re.fullmatch(r"earmark: training stopped in epoch \d+ of 40; run the same command again to go on .*", last)
    assert "Traceback" not in told
    assert list(checkpoints.rglob("last.ckpt"))
    done = subprocess.run([*command, "--resume", "--json"], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["evaluations"]["test"]["clips"] > 0
    assert b"going on from the unfinished training" in done.stderr


def test_clips_with_several_tags_get_a_threshold_a_tag(data_dir: Path, settings: Settings, tmp_path: Path) -> None:
    source = data_dir / "fsdkaggle2019_mini"
    table = pd.read_csv(source / "train_curated.csv")
    common = table["labels"].str.split(",").explode().value_counts().index[:4]
    chosen = table[table["labels"].str.split(",").apply(lambda tags: set(tags) <= set(common))].head(90)
    manifest = tmp_path / "several.csv"
    pd.DataFrame(
        {"path": [str(source / "train_curated" / name) for name in chosen["fname"]], "labels": chosen["labels"]}
    ).to_csv(manifest, index=False)
    recipe = load_recipe("small-cnn", [*QUICK, "training.epochs=10"])
    result = train(manifest, tmp_path / "model", recipe=recipe, settings=settings)
    header = load_bundle(tmp_path / "model").header
    assert header.vocabulary.kind == "multilabel"
    assert set(header.vocabulary.tags) == set(common)
    assert set(header.thresholds) == set(common)
    assert header.calibration.kind == "platt"
    metrics = result.evaluations["test"].metrics
    assert 0 < metrics["lwlrap"] <= 1
    assert list((tmp_path / "model" / "report").glob("best_epoch_010_lwlrap_*_seed_0.pt"))
