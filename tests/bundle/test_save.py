from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from earmark.bundle import save
from earmark.bundle.load import Bundle, load_bundle
from earmark.bundle.save import check_target, update_bundle, write_bundle
from earmark.bundle.schema import Calibration, Refusal
from earmark.errors import BundleError


def test_files_come_from_bytes_and_from_paths(tmp_path: Path, header):
    source = tmp_path / "graph"
    source.write_bytes(b"from a path")
    bundle = write_bundle(tmp_path / "deep" / "model", header(), {"model.onnx": source, "members/0/w": b"bytes"})
    assert bundle.file("model.onnx").read_bytes() == b"from a path"
    assert bundle.file("members/0/w").read_bytes() == b"bytes"
    assert source.exists()
    assert load_bundle(bundle.path).hash == bundle.hash


def test_the_same_content_has_the_same_hash_and_other_content_another(tmp_path: Path, header):
    first = write_bundle(tmp_path / "a", header(), {"model.onnx": b"1"})
    same = write_bundle(tmp_path / "b", header(), {"model.onnx": b"1"})
    other = write_bundle(tmp_path / "c", header(), {"model.onnx": b"2"})
    assert first.hash == same.hash != other.hash


def test_a_model_is_replaced_only_when_asked(bundle: Bundle, header):
    with pytest.raises(BundleError, match="a model stands there already"):
        write_bundle(bundle.path, header(name="new"), {"model.onnx": b"new"})
    assert load_bundle(bundle.path).header.name == "toy"
    (bundle.path / "notes.txt").write_text("mine")
    replaced = write_bundle(bundle.path, header(name="new"), {"model.onnx": b"new"}, replace=True)
    assert load_bundle(replaced.path).header.name == "new"
    assert (bundle.path / "notes.txt").read_text() == "mine"
    assert not (bundle.path / "weights.safetensors").exists()
    assert sorted(os.listdir(bundle.path.parent)) == ["model"]


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_model_is_never_overwritten(tmp_path: Path, header, replace):
    songs = tmp_path / "songs"
    songs.mkdir()
    (songs / "a.wav").write_bytes(b"precious")
    with pytest.raises(BundleError, match="no model folder, so it is not overwritten"):
        write_bundle(songs, header(), {"model.onnx": b""}, replace=replace)
    with pytest.raises(BundleError, match="a file stands there"):
        write_bundle(songs / "a.wav", header(), {"model.onnx": b""}, replace=replace)
    assert (songs / "a.wav").read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["songs"]


def test_an_empty_folder_may_be_filled(tmp_path: Path, header):
    (tmp_path / "model").mkdir()
    check_target(tmp_path / "model", replace=False)
    assert write_bundle(tmp_path / "model", header(), {"model.onnx": b"x"}).file("model.onnx").exists()


def test_a_write_that_fails_half_way_leaves_the_old_model_and_no_litter(bundle: Bundle, header, tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "_write", full)
    with pytest.raises(BundleError, match="No space left on device"):
        write_bundle(bundle.path, header(name="new"), {"model.onnx": b"new"}, replace=True)
    assert load_bundle(bundle.path).hash == bundle.hash
    assert sorted(os.listdir(tmp_path)) == ["model"]


def test_a_missing_source_file_is_named(tmp_path: Path, header):
    with pytest.raises(BundleError, match=r"gone\.onnx: no such file"):
        write_bundle(tmp_path / "model", header(), {"model.onnx": tmp_path / "gone.onnx"})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "earmark.json"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, header, name):
    with pytest.raises(BundleError, match="files:"):
        write_bundle(tmp_path / "model", header(), {"model.onnx": b"", name: b""})
    assert os.listdir(tmp_path) == []


def test_update_changes_fields_and_files_and_keeps_the_rest(bundle: Bundle):
    changed = update_bundle(
        bundle.path,
        {"refusal": Refusal(threshold=2.5), "calibration": Calibration.temperature(2.0)},
        {"README.md": b"# better"},
    )
    assert changed.header.refusal == Refusal(threshold=2.5)
    assert changed.header.calibration.scale == (0.5,)
    assert changed.file("README.md").read_bytes() == b"# better"
    assert changed.file("weights.safetensors").read_bytes() == b"weights"
    assert load_bundle(bundle.path).hash == changed.hash != bundle.hash


def test_update_refuses_unknown_and_impossible_fields_and_a_changed_model(bundle: Bundle):
    with pytest.raises(BundleError, match="'colour' is no field"):
        update_bundle(bundle.path, {"colour": "blue"})
    with pytest.raises(BundleError, match="not in the vocabulary"):
        update_bundle(bundle.path, {"thresholds": {"bird": 0.5}})
    (bundle.path / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"model\.onnx: changed"):
        update_bundle(bundle.path, {"name": "x"})
