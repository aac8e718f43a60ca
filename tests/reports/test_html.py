import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn import metrics as sk

from earmark.errors import AudioError, InputError
from earmark.reports.content import ReportContent
from earmark.reports.html import write_report
from earmark.types import Samples


def test_writes_all_files_and_they_agree(content: ReportContent, tmp_path: Path) -> None:
    written = write_report(tmp_path / "report", content)
    folder = tmp_path / "report"
    names = {path.relative_to(folder).as_posix() for path in written}
    exclusive = content.vocabulary.kind == "exclusive"
    expected = {
        "report.html", "report.txt", "metrics.json", "predictions.parquet", "true_labels.npy", "pred_labels.npy",
        "val_report.txt", "val_true_labels.npy", "val_pred_labels.npy",
    }  # fmt: skip
    assert expected <= names
    assert ({"confusion_matrix.png", "val_confusion_matrix.png"} <= names) == exclusive
    assert names == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    figures = json.loads((folder / "metrics.json").read_text())
    true = np.load(folder / "true_labels.npy", allow_pickle=False)
    said = np.load(folder / "pred_labels.npy", allow_pickle=False)
    assert len(true) == 89  # of 90 test clips one has no label
    assert figures["test"]["metrics"]["accuracy"] == pytest.approx(sk.accuracy_score(true, said))
    table = pd.read_parquet(folder / "predictions.parquet")
    test = table[table["split"] == "test"]
    assert len(test) == 89
    assert test["correct"].mean() == pytest.approx(figures["test"]["metrics"]["accuracy"])
    if exclusive:
        p = test[[f"probability:{tag}" for tag in content.vocabulary]].to_numpy()
        assert (p.argmax(axis=1) == said).all()
        assert figures["test"]["metrics"]["roc_auc_macro"] == pytest.approx(
            sk.roc_auc_score(true, p / p.sum(1, keepdims=True), multi_class="ovr")
        )


def test_val_report_is_scikit_learns(content: ReportContent, tmp_path: Path) -> None:
    write_report(tmp_path, content)
    true, said = (np.load(tmp_path / f"val_{name}_labels.npy") for name in ("true", "pred"))
    expected = sk.classification_report(
        true, said, target_names=list(content.vocabulary), digits=4, zero_division=0, labels=range(3)
    )
    assert (tmp_path / "val_report.txt").read_text(encoding="utf-8") == expected


def test_specificity_stands_in_every_form_of_the_report(content: ReportContent, tmp_path: Path) -> None:
    content.evaluations["test"].per_tag[0]["specificity"] = 0.4321
    content.evaluations["test"].per_tag[2]["specificity"] = float("nan")  # every clip has the tag
    write_report(tmp_path, content)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<button>specificity</button>" in page
    assert '<td class="meter" style="--v:43.2%">0.432</td>' in page
    assert '<td class="meter" style="--v:0%">–</td>' in page
    words = (tmp_path / "report.txt").read_text(encoding="utf-8").split("test split")[-1]
    assert "specificity: of the clips without a tag, the part that was not given it" in words
    assert re.search(r"^ +dog +0\.4321$", words, re.MULTILINE)
    assert re.search(r"^ +Größe +-$", words, re.MULTILINE)
    figures = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert [row["specificity"] for row in figures["test"]["per_tag"]][::2] == [0.4321, None]


def test_the_page_is_one_file_and_escapes_names(content: ReportContent, tmp_path: Path) -> None:
    write_report(tmp_path, content)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>cat</b>" not in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "A &lt;model&gt;" in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    outside = [link for link in links if not link.startswith(("#", "data:", "audio/"))]
    assert outside == []
    sounds = [link for link in links if link.startswith("audio/")]
    assert 1 <= len(sounds) <= 12
    samples, rate = soundfile.read(tmp_path / sounds[0])
    assert rate == 16_000
    assert len(samples) == pytest.approx(8000, abs=2500)  # MP3 pads to whole frames
    assert page.count('<img src="data:image/png;base64,') == len(sounds)
    assert "a.wav is in quarantine" in page
    assert "versions: numpy" in page
    assert "currentColor" in page


def test_a_mistake_without_sound_does_not_cost_the_report(content: ReportContent, tmp_path: Path) -> None:
    def broken(split: str, clip: int) -> tuple[Samples, int]:
        raise AudioError("gone.wav", "missing", "gone.wav: missing.")

    write_report(tmp_path, dataclasses.replace(content, samples_of=broken))
    assert "<audio" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_only_validation_and_nothing_else(content: ReportContent, tmp_path: Path) -> None:
    bare = ReportContent(
        title="bare",
        vocabulary=content.vocabulary,
        evaluations={"val": content.evaluations["val"]},
        predictions={"val": content.predictions["val"]},
        probabilities={"val": content.probabilities["val"]},
    )
    write_report(tmp_path, bare)
    assert (np.load(tmp_path / "pred_labels.npy") == np.load(tmp_path / "val_pred_labels.npy")).all()
    assert 'id="recipe"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_does_not_fit_is_refused(content: ReportContent, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no evaluation"):
        write_report(tmp_path, dataclasses.replace(content, evaluations={}))
    with pytest.raises(InputError, match="'val' lacks"):
        write_report(tmp_path, dataclasses.replace(content, probabilities={}))
