from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.hashing import audio_sha256
from earmark.data.manifest import Item, Manifest, build
from earmark.errors import InputError
from earmark.evaluation.predict import predict, predict_rows
from earmark.types import Reason, Samples, Vocabulary


class Loudness:
    """A tagger whose logits are the clip's length in seconds and its loudest sample."""

    vocabulary = Vocabulary(("loud", "quiet"), "exclusive")
    sample_rate_hz = 8000

    def clip_windows(self, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        logits = np.array([np.abs(samples).max(), len(samples) / 8000], dtype=np.float32)
        return logits[None], logits[None, :1]


@pytest.fixture
def data(tmp_path: Path) -> Manifest:
    for name, level in (("a", 0.5), ("b", 0.1), ("c", 0.0)):
        tone = level * np.sin(np.arange(32_000) * 0.3).astype(np.float32)
        soundfile.write(tmp_path / f"{name}.wav", tone, 16_000, subtype="PCM_16")
    (tmp_path / "d.wav").write_bytes(b"no sound")
    items = [
        Item(tmp_path / "a.wav", ("loud",), 0.0, 0.5, group="g1"),
        Item(tmp_path / "d.wav", ("loud",)),
        Item(tmp_path / "b.wav", ("quiet",)),
        Item(tmp_path / "a.wav", ("loud",), 0.5, None, group="g1"),
        Item(tmp_path / "c.wav", ("quiet",)),
        Item(tmp_path / "a.wav", ("loud",), 7.0, 8.0),
    ]
    return build(items, root=tmp_path, layout="manifest")


def test_decodes_cuts_and_quarantines(data: Manifest) -> None:
    found = predict_rows(Loudness(), data, workers=2, timeout_s=30)
    assert found.rows.tolist() == [0, 2, 3]
    assert found.clips.logits[:, 1] == pytest.approx([0.5, 2.0, 1.5])
    assert found.clips.logits[:, 0] == pytest.approx([0.5, 0.1, 0.5], abs=0.02)
    assert found.clips.classes.tolist() == [0, 1, 0]
    assert found.clips.groups[0] == "g1"
    reasons = {Path(q.path).name: q.reason for q in found.quarantine}
    assert reasons == {"d.wav": Reason.NOT_AUDIO, "c.wav": Reason.SILENT, "a.wav": Reason.TOO_SHORT}


def test_leaves_out_what_the_model_was_trained_on(data: Manifest, tmp_path: Path) -> None:
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    found = predict_rows(Loudness(), data, seen=frozenset({audio_sha256(samples, rate)}), workers=1)
    assert found.rows.tolist() == [2]
    assert found.seen == [0, 3, 5]


def test_given_samples_need_no_file(data: Manifest) -> None:
    clips, quarantine = predict(Loudness(), data, samples_of=lambda row: np.full(8000, row / 10, dtype=np.float32))
    assert clips.logits[:, 0] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert quarantine == []


class Counting(Loudness):
    """One window for each second of a clip, with its number as the embedding."""

    def clip_windows(self, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.arange(len(samples) // 8000, dtype=np.float32)[:, None]
        return np.repeat(numbers, 2, axis=1), numbers


def test_windows_are_kept_beside_their_means(data: Manifest) -> None:
    seconds = [1, 40, 2, 1, 1, 1]
    clips, _ = predict(Counting(), data, samples_of=lambda row: np.ones(8000 * seconds[row], dtype=np.float32))
    assert clips.embeddings[:, 0].tolist() == [0, 19.5, 0.5, 0, 0, 0]
    windows = clips.heard
    assert np.bincount(windows.clip).tolist() == [1, 16, 2, 1, 1, 1]
    kept = windows.embeddings[windows.clip == 1, 0]
    assert (kept[0], kept[-1]) == (0, 39)
    assert (np.diff(kept) > 0).all()
    chosen = clips.take(np.array([2, 0])).heard
    assert chosen.clip.tolist() == [0, 0, 1]
    assert chosen.embeddings[:, 0].tolist() == [0, 1, 0]


def test_nothing_left_says_why(data: Manifest) -> None:
    with pytest.raises(InputError, match=r"d\.wav"):
        predict(Loudness(), data.take([1]))


def test_nothing_left_counts_what_was_seen_and_what_is_broken(data: Manifest, tmp_path: Path) -> None:
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    seen = frozenset({audio_sha256(samples, rate)})
    with pytest.raises(InputError, match=r"2 of 3 clips .* \(--include-seen .*; 1 cannot be used, the first: .*d\.wav"):
        predict_rows(Loudness(), data.take([0, 1, 3]), seen=seen, workers=1)


def test_other_tags_are_refused(data: Manifest) -> None:
    class Other(Loudness):
        vocabulary = Vocabulary(("quiet", "loud"), "exclusive")

    with pytest.raises(InputError, match="match them by name"):
        predict(Other(), data)
