from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import earmark
from earmark.audio.read import read
from earmark.audio.signal import fit, resample, windows
from earmark.bundle.save import update_bundle
from earmark.bundle.schema import Windows
from earmark.errors import AudioError, BundleError, InputError
from earmark.tagging.tagger import Tagger, load


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """7.1 s: low, high, mid."""
    time = np.arange(8000 * 3) / 8000
    parts = [np.sin(2 * np.pi * hz * time)[: int(n)] for hz, n in ((200, 24000), (2000, 20000), (800, 12800))]
    return (0.3 * np.concatenate(parts)).astype(np.float32)


def test_logits_and_embeddings_are_those_that_numpy_computes(toy, tagger: Tagger):
    batch = np.random.default_rng(0).normal(0, 0.2, (5, 4000)).astype(np.float32)
    logits, embeddings = tagger.run(batch)
    expected_logits, expected_embeddings = toy.by_numpy(batch)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)
    np.testing.assert_allclose(embeddings, expected_embeddings, atol=1e-4)


def test_every_window_is_tagged_at_its_place(toy, tagger: Tagger, song):
    scores = tagger.tag(song, 8000)
    starts = windows(len(song), 4000, 2000)  # overlap one half, as the bundle says
    assert len(scores) == len(starts) == 28
    np.testing.assert_array_equal(scores.start_s, starts / 8000)
    np.testing.assert_array_equal(scores.stop_s, (starts + 4000) / 8000)
    assert scores.stop_s[-1] == scores.duration_s == 7.1
    expected, _ = toy.by_numpy(np.stack([song[start : start + 4000] for start in starts]))
    np.testing.assert_allclose(scores.logits, expected, atol=1e-4)
    np.testing.assert_allclose(scores.mean_logits, expected.mean(axis=0), atol=1e-4)
    # temperature 2
    raised = np.exp(expected / 2)
    np.testing.assert_allclose(scores.probabilities, raised / raised.sum(axis=1, keepdims=True), atol=1e-5)
    assert scores.tags() == ["low"]


def test_a_file_a_stream_and_an_array_give_the_same_bits(tagger: Tagger, song, tmp_path: Path):
    path = tmp_path / "ein Lied ß.wav"
    sf.write(path, song, 8000, subtype="FLOAT")
    whole = tagger.tag(song, 8000)
    streamed = tagger.tag(path)
    odd_blocks = tagger.tag_blocks("x", iter(np.array_split(song, 13)))
    for other in (streamed, odd_blocks):
        np.testing.assert_array_equal(other.logits, whole.logits)
        np.testing.assert_array_equal(other.start_s, whole.start_s)
    assert streamed.recording == str(path)


def test_a_resampled_stereo_stream_agrees_with_the_whole_file(tagger: Tagger, tmp_path: Path):
    rng = np.random.default_rng(1)
    stereo = rng.normal(0, 0.1, (44100 * 25, 2)).astype(np.float32)  # three blocks of 10 s
    sf.write(tmp_path / "noise.flac", stereo, 44100, subtype="PCM_24")
    samples = read(tmp_path / "noise.flac").samples
    streamed = tagger.tag(tmp_path / "noise.flac")
    np.testing.assert_allclose(streamed.logits, tagger.tag(samples, 44100).logits, atol=1e-4)
    np.testing.assert_allclose(streamed.logits, tagger.tag(resample(samples, 44100, 8000), 8000).logits, atol=1e-4)


def test_a_clip_is_judged_by_the_mean_over_its_windows(tagger: Tagger, song):
    logits, embedding = tagger.clip_logits(song)
    scores = tagger.tag(song, 8000)
    np.testing.assert_array_equal(logits, scores.mean_logits)
    assert embedding.shape == (3,)


def test_a_clip_shorter_than_a_window_is_padded_as_in_training(toy, tagger: Tagger, song):
    short = song[:1000]
    logits, _ = tagger.clip_logits(short)
    np.testing.assert_allclose(logits, toy.by_numpy(fit(short, 4000, "zero")[None])[0][0], atol=1e-4)
    scores = tagger.tag(short, 8000)
    assert (scores.start_s.tolist(), scores.stop_s.tolist(), scores.duration_s) == ([0.0], [0.125], 0.125)


def test_looped_padding_and_another_overlap(toy, tmp_path: Path, song):
    from shutil import copytree

    copytree(toy.bundle.path, tmp_path / "m")
    update_bundle(tmp_path / "m", {"windows": Windows(length_samples=4000, sample_rate_hz=8000, padding="loop")})
    looping = load(tmp_path / "m")
    short = song[:1000]
    np.testing.assert_allclose(looping.clip_logits(short)[0], toy.by_numpy(np.tile(short, 4)[None])[0][0], atol=1e-4)
    assert len(looping.tag(song, 8000)) == len(windows(len(song), 4000, 4000))
    assert len(looping.tag(song, 8000, overlap=0.75)) == len(windows(len(song), 4000, 1000))


def test_numbers_do_not_depend_on_the_threads(toy, song):
    one, many = Tagger(toy.bundle, threads=1), Tagger(toy.bundle, threads=4)
    np.testing.assert_array_equal(one.tag(song, 8000).logits, many.tag(song, 8000).logits)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_an_impossible_overlap_is_refused(tagger: Tagger, song, overlap):
    with pytest.raises(InputError, match="expected 0 <= overlap < 1"):
        tagger.tag(song, 8000, overlap=overlap)


def test_samples_need_their_rate_and_must_be_numbers(tagger: Tagger, song):
    with pytest.raises(InputError, match="need their sample_rate_hz"):
        tagger.tag(song)
    with pytest.raises(InputError, match="a file knows its own rate"):
        tagger.tag("x.wav", 8000)
    with pytest.raises(AudioError, match="NaN"):
        tagger.tag(np.full(8000, np.nan, np.float32), 8000)
    with pytest.raises(AudioError, match="no sample"):
        tagger.tag(np.empty(0, np.float32), 8000)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(8000, np.int16), "samples of int16; expected floats"),
        (np.zeros((2, 8000), np.float32), r"shape \(2, 8000\) would be 8000 channels.*samples.T"),
        (np.zeros((1, 2, 3), np.float32), r"expected \(n,\) or \(n, channels\)"),
    ],
)
def test_samples_of_another_scale_or_shape_are_refused(tagger: Tagger, samples, message):
    with pytest.raises(InputError, match=message):
        tagger.tag(samples, 8000)


@pytest.mark.parametrize(
    ("samples", "reason"), [(np.zeros(8000), "silent"), (np.full(100, 0.5), "too-short"), (np.empty(0), "empty")]
)
def test_a_file_that_preparing_would_refuse_is_refused(tagger: Tagger, tmp_path: Path, samples, reason):
    sf.write(tmp_path / "x.wav", samples.astype(np.float32), 8000)
    with pytest.raises(AudioError) as caught:
        tagger.tag(tmp_path / "x.wav")
    assert caught.value.reason == reason


def test_sounds_unlike_the_training_set_are_marked(toy, tmp_path: Path, song):
    import io
    from shutil import copytree

    from earmark.bundle.schema import Refusal
    from earmark.metrics import unknown

    plain = Tagger(toy.bundle)
    starts = windows(len(song), 4000, 2000)
    logits, embeddings = plain.run(np.stack([song[start : start + 4000] for start in starts]))
    truth = np.eye(3, dtype=bool)[logits.argmax(axis=1)]
    # so few windows bear no threshold for one in twenty
    arrays = unknown.fit(embeddings, truth, logits, embeddings, "exclusive", refused_part=0.2)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    copytree(toy.bundle.path, tmp_path / "m")
    update_bundle(
        tmp_path / "m",
        {"refusal": Refusal(threshold=float(arrays["threshold"][0]))},
        {"reference.npz": buffer.getvalue()},
    )
    tagger = load(tmp_path / "m")
    known = tagger.tag(song, 8000)
    assert not known.is_unknown
    np.testing.assert_allclose(known.unknown, unknown.score(logits, embeddings, arrays), rtol=1e-5)
    noise = np.random.default_rng(0).normal(0, 0.3, 16000).astype(np.float32)
    assert tagger.tag(noise, 8000).is_unknown
    assert plain.tag(noise, 8000).unknown is None
    assert not plain.tag(noise, 8000).is_unknown


def test_a_graph_that_is_not_what_the_header_says_is_refused(toy, tmp_path: Path):
    from shutil import copytree

    copytree(toy.bundle.path, tmp_path / "m")
    update_bundle(tmp_path / "m", {"embedding_size": 7})
    with pytest.raises(BundleError, match="embedding has size 3, expected 7"):
        load(tmp_path / "m")
    update_bundle(tmp_path / "m", {"embedding_size": 3}, {"model.onnx": b"not a graph"})
    with pytest.raises(BundleError, match="onnxruntime cannot open it"):
        load(tmp_path / "m")


def test_earmark_load_is_the_documented_way_in(toy, tmp_path: Path, song):
    sf.write(tmp_path / "x.wav", song, 8000, subtype="FLOAT")
    tagger = earmark.load(toy.bundle.path)
    best = tagger.tag(tmp_path / "x.wav").top(3)
    assert [score.tag for score in best] == ["low", "high", "mid"]
    assert repr(tagger).startswith("<Tagger 'toy': 3 tags, exclusive, ")


def test_tagging_needs_neither_torch_nor_pandas(toy, tmp_path: Path, song):
    sf.write(tmp_path / "x.wav", song, 8000)
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in "torch lightning pandas pyarrow matplotlib sklearn librosa onnx".split():
            raise ImportError(name + " must not be imported")
sys.meta_path.insert(0, Refuse())
sys.argv = ["earmark", "tag", {str(toy.bundle.path)!r}, {str(tmp_path / "x.wav")!r}, "--format", "csv", "--top", "1"]
from earmark.cli.main import run
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "path,start_s,end_s,tag,probability,logit"
    assert len(done.stdout.splitlines()) == 29
