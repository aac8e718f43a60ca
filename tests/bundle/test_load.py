from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from earmark.bundle.load import Bundle, is_bundle, load_bundle
from earmark.bundle.save import update_bundle, write_bundle
from earmark.bundle.schema import Architecture, render
from earmark.errors import BundleError


def rewrite(bundle: Bundle, **changes) -> None:
    """The header with other content, and a hash that is right for it."""
    content = json.loads((bundle.path / "earmark.json").read_text())
    content.pop("sha256")
    (bundle.path / "earmark.json").write_bytes(render({**content, **changes}))


def test_loading_gives_back_what_was_written(bundle: Bundle):
    again = load_bundle(bundle.path)
    assert again.header == bundle.header
    assert again.hash == bundle.hash
    assert load_bundle(bundle.path / "earmark.json").hash == bundle.hash
    assert sorted(again.header.files) == ["README.md", "model.onnx", "report/metrics.json", "weights.safetensors"]
    # `printf graph | sha256sum`
    assert again.header.files["model.onnx"] == "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"


def test_a_changed_byte_in_any_file_is_refused_and_the_file_is_named(bundle: Bundle):
    files = [path for path in bundle.path.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        good = path.read_bytes()
        for position in {0, len(good) // 2, len(good) - 1}:
            path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
            with pytest.raises(BundleError, match=path.name.replace(".", r"\.")):
                load_bundle(bundle.path)
        path.write_bytes(good)
    load_bundle(bundle.path)


def test_every_changed_byte_of_the_header_is_refused(bundle: Bundle):
    path = bundle.path / "earmark.json"
    good = path.read_bytes()
    for position in range(0, len(good), 7):
        path.write_bytes(good[:position] + bytes([good[position] ^ 2]) + good[position + 1 :])
        with pytest.raises(BundleError):
            load_bundle(bundle.path)


def test_a_missing_file_is_named(bundle: Bundle):
    (bundle.path / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors: missing"):
        load_bundle(bundle.path, verify=False)


def test_a_newer_format_is_refused_by_name_whatever_else_is_in_it(bundle: Bundle):
    (bundle.path / "earmark.json").write_text('{"format_version": 2, "quantum": true}')
    with pytest.raises(BundleError, match=r"model format 2.*up to 1.*pip install --upgrade earmark"):
        load_bundle(bundle.path)


def test_a_header_of_before_discriminants_were_named_has_none(bundle: Bundle):
    rewrite(bundle, architecture={"name": "small-cnn", "arguments": {"width": 16}, "members": 1})
    assert b"discriminant" not in (bundle.path / "earmark.json").read_bytes()
    found = load_bundle(bundle.path).header.architecture
    assert found == Architecture(name="small-cnn", arguments={"width": 16})
    assert found.discriminant == 0.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no-folder", None, "no such folder"),
        ("empty", "", "no earmark.json in it"),
    ],
)
def test_what_is_no_model_folder_is_said_plainly(tmp_path: Path, name, content, message):
    if content is not None:
        (tmp_path / name).mkdir()
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / name)
    assert not is_bundle(tmp_path / name)


def test_a_file_instead_of_a_folder(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    with pytest.raises(BundleError, match="expected a model folder"):
        load_bundle(tmp_path / "model.onnx")


def test_a_path_that_leaves_the_folder_is_refused_even_if_signed(bundle: Bundle, tmp_path: Path):
    (tmp_path / "secret").write_bytes(b"x")
    rewrite(bundle, files={**bundle.header.files, "../secret": "0" * 64})
    with pytest.raises(BundleError, match="not a plain path inside the model folder"):
        load_bundle(bundle.path)


def test_a_signed_header_with_an_unknown_field_is_refused(bundle: Bundle):
    rewrite(bundle, colour="blue")
    with pytest.raises(BundleError, match="colour"):
        load_bundle(bundle.path)


def test_a_signed_header_without_a_graph_is_refused(bundle: Bundle):
    rewrite(bundle, files={})
    with pytest.raises(BundleError, match=r"lists no model\.onnx"):
        load_bundle(bundle.path)


def test_files_that_are_not_listed_are_left_alone(bundle: Bundle):
    (bundle.path / ".gitattributes").write_text("* lfs")
    assert load_bundle(bundle.path).hash == bundle.hash
    with pytest.raises(BundleError, match=r"holds no net\.onnx"):
        bundle.file("net.onnx")


def test_reference_arrays_are_never_unpickled(tmp_path: Path, header):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    buffer = io.BytesIO()
    np.savez(buffer, mean=np.arange(3.0), trap=np.array([Trap()], dtype=object), allow_pickle=True)
    pickled = write_bundle(tmp_path / "m", header(), {"model.onnx": b"", "reference.npz": buffer.getvalue()})
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(BundleError, match="unpickling"):
        pickled.reference()
    whole = write_bundle(
        tmp_path / "n", header(), {"model.onnx": b"", "reference.npz": pickle.dumps({"mean": np.arange(3.0)})}
    )
    with pytest.raises(BundleError, match="unpickling"):
        whole.reference()
    assert not (tmp_path / "sprung").exists()


def test_reference_and_seen_are_read_back(tmp_path: Path, header):
    import pyarrow as pa
    import pyarrow.parquet as pq

    npz, parquet = io.BytesIO(), io.BytesIO()
    np.savez(npz, mean=np.float32([1, 2]))
    pq.write_table(pa.table({"audio_sha256": ["aa", "bb"], "split": ["train", "val"]}), parquet)
    bundle = write_bundle(tmp_path / "m", header(), {"model.onnx": b""})
    assert bundle.reference() == {}
    assert bundle.seen() == frozenset()
    bundle = update_bundle(bundle.path, files={"reference.npz": npz.getvalue(), "seen.parquet": parquet.getvalue()})
    assert bundle.reference()["mean"].tolist() == [1.0, 2.0]
    assert bundle.seen() == {"aa", "bb"}
