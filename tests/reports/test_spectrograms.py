import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib import image
from typer.testing import CliRunner

from earmark.audio.signal import fit
from earmark.cli.main import app
from earmark.errors import InputError
from earmark.features.reference import log_mel
from earmark.features.spec import FeatureSpec
from earmark.layouts import read
from earmark.reports.spectrograms import check_format, choose_front_end, export_spectrograms

SPEC = FeatureSpec(
    sample_rate_hz=8000,
    clip_s=1.0,
    n_fft=256,
    hop_length=200,
    n_mels=16,
    fmin_hz=50.0,
    fmax_hz=4000.0,
    normalise="none",
)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, seconds in (("dog/short.wav", 0.5), ("dog/long.wav", 2.5), ("cat/long.wav", 1.0), ("cat/long.flac", 1.0)):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, round(8000 * seconds)), 8000)
    (tmp_path / "sounds/dog/broken.wav").write_bytes(b"nothing")
    return tmp_path / "sounds"


def test_npz_holds_what_the_front_end_makes(sounds: Path, tmp_path: Path) -> None:
    done = export_spectrograms(read(sounds), SPEC, tmp_path / "out", format="npz")
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.npz")}
    assert names == {
        "dog/short.npz", "dog/long_000.npz", "dog/long_001.npz", "dog/long_002.npz", "cat/long-1.npz", "cat/long-2.npz",
    }  # fmt: skip
    assert (done.pictures, done.clips, done.shape) == (6, 4, (16, 41))
    assert [Path(q.path).name for q in done.quarantine] == ["broken.wav"]
    samples, _ = soundfile.read(sounds / "dog/short.wav", dtype="float32")
    with np.load(tmp_path / "out/dog/short.npz", allow_pickle=False) as stored:
        assert str(stored["label"]) == "dog"
        np.testing.assert_array_equal(stored["mel"], log_mel(fit(samples, 8000, "zero"), SPEC)[0])
    index = pd.read_csv(tmp_path / "out/index.csv", keep_default_na=False)
    assert index.columns.tolist() == ["id", "label", "path", "src", "split", "start_s"]
    assert index[index["id"] == "dog/long.wav"]["start_s"].tolist() == [0.0, 1.0, 1.5]  # the last reaches back
    metadata = json.loads((tmp_path / "out/metadata.json").read_text())
    assert metadata["front_end"]["n_mels"] == 16
    assert metadata["pictures"] == {"unsplit": {"cat": 2, "dog": 4}}


def test_clips_of_one_recording_are_counted_and_told_apart(sounds: Path, tmp_path: Path) -> None:
    table = tmp_path / "spans.csv"
    table.write_text("path,labels,start_s,end_s\nsounds/dog/long.wav,dog,0,1\nsounds/dog/long.wav,cat,1.5,2.5\n")
    done = export_spectrograms(read(table), SPEC, tmp_path / "out", format="npy")
    assert (done.pictures, done.clips) == (2, 2)
    index = pd.read_csv(tmp_path / "out/index.csv")
    assert dict(zip(index["id"], index["label"], strict=True)) == {
        "sounds/dog/long.wav#0-1": "dog", "sounds/dog/long.wav#1.5-2.5": "cat",
    }  # fmt: skip


def test_a_file_name_need_not_be_utf_8(sounds: Path, tmp_path: Path) -> None:
    (sounds / "dog" / "short.wav").rename(sounds / "dog" / os.fsdecode(b"short\xff.wav"))
    assert export_spectrograms(read(sounds), SPEC, tmp_path / "out", format="npy").pictures == 6
    index = pd.read_csv(tmp_path / "out" / "index.csv")
    assert "dog/short\ufffd.npy" in index["path"].tolist()
    assert all((tmp_path / "out" / name).is_file() for name in index["path"])


def test_npy_and_png(sounds: Path, tmp_path: Path) -> None:
    export_spectrograms(read(sounds), SPEC, tmp_path / "npy", format="npy")
    assert np.load(tmp_path / "npy/dog/short.npy", allow_pickle=False).shape == (16, 41)
    export_spectrograms(read(sounds), SPEC, tmp_path / "png", format="png")
    assert image.imread(tmp_path / "png/dog/short.png").shape[:2] == (16, 41)
    export_spectrograms(read(sounds), SPEC, tmp_path / "axes", format="png", axes=True)
    assert image.imread(tmp_path / "axes/dog/short.png").shape[0] > 200


def test_deltas_are_further_channels(sounds: Path, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"deltas": 2})
    assert export_spectrograms(read(sounds), spec, tmp_path / "out", format="npy").shape == (3, 16, 41)


def test_other_settings_in_the_same_folder_are_refused(sounds: Path, tmp_path: Path) -> None:
    export_spectrograms(read(sounds), SPEC, tmp_path / "out", format="npz")
    export_spectrograms(read(sounds), SPEC, tmp_path / "out", format="npz")
    with pytest.raises(InputError, match="earmark reset"):
        export_spectrograms(read(sounds), SPEC, tmp_path / "out", format="npy")


def stamps(folder: Path) -> dict[str, int]:
    """When each picture was written."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.npz")}


def contents(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_a_second_run_makes_only_what_is_not_there_whole(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = export_spectrograms(read(sounds), SPEC, out, format="npz")
    whole, before = contents(out), stamps(out)
    assert first.already == 0
    second = export_spectrograms(read(sounds), SPEC, out, format="npz")
    assert (second.pictures, second.already, second.clips, second.shape) == (6, 6, 4, (16, 41))
    assert [Path(q.path).name for q in second.quarantine] == ["broken.wav"]
    assert stamps(out) == before
    assert contents(out) == whole
    (out / "dog/long_001.npz").unlink()
    os.utime(sounds / "cat/long.wav")  # it may have changed
    third = export_spectrograms(read(sounds), SPEC, out, format="npz")
    assert third.already == 2
    assert {name for name, at in stamps(out).items() if at != before[name]} == {
        "dog/long_000.npz", "dog/long_001.npz", "dog/long_002.npz", "cat/long-2.npz",
    }  # fmt: skip
    assert contents(out) == whole


def test_spans_outside_a_recording_are_told_again(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "path,labels,start_s,end_s\nsounds/dog/long.wav,dog,0,1\nsounds/dog/long.wav,dog,9,10\nsounds/cat/long.wav,cat,,\n"
    )
    told = [export_spectrograms(read(tmp_path / "m.csv"), SPEC, tmp_path / "out", format="npz") for _ in range(2)]
    assert [(done.pictures, done.already, done.clips) for done in told] == [(2, 0, 2), (2, 2, 2)]
    assert [q.message.partition(": ")[2] for done in told for q in done.quarantine] == [
        "the clip from 9 s lies outside the recording; correct the span."
    ] * 2


def test_choices() -> None:
    assert choose_front_end(None, None, ["front_end.n_mels=40"]).n_mels == 40
    assert choose_front_end("drone-car-speech", None).n_mels == 64
    with pytest.raises(InputError, match="leave out"):
        choose_front_end("small-cnn", Path("model"))
    with pytest.raises(InputError, match="npz, npy, png"):
        check_format("jpg")


def test_export_and_reset_by_command(sounds: Path, tmp_path: Path) -> None:
    def earmark(*arguments: object, text: str | None = None) -> dict[str, object]:
        done = CliRunner().invoke(app, [str(a) for a in arguments], input=text, catch_exceptions=False)
        return json.loads(done.stdout) if "--json" in arguments else {"text": done.stdout}

    before = sorted(sounds.rglob("*"))
    out = sounds / "pictures"  # inside the data set itself: system after system does so
    done = earmark("export", "spectrograms", sounds, "--out", out, "--recipe", "drone-car-speech", "--json")
    assert done["clips"] == 4
    assert done["shape"] == [64, 63]
    with pytest.raises(InputError, match="nothing was removed"):
        earmark("reset", out, text="n\n")
    with pytest.raises(InputError, match="cannot ask"):
        earmark("reset", out, "--json")
    assert len(earmark("reset", out, "--dry-run", "--json")["removed"]) == 7  # type: ignore[arg-type]
    assert "7 files removed" in str(earmark("reset", out, text="y\n")["text"])
    out.rmdir()
    assert sorted(sounds.rglob("*")) == before
