from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earmark.tagging.decoder import Decoder
from earmark.tagging.many import tag_many
from earmark.tagging.tagger import Tagger


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Twelve of different lengths, two rates and two formats, and two that are no audio."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(12):
        samples = rng.normal(0, 0.1, int(rng.uniform(2_000, 90_000))).astype(np.float32)
        path = folder / f"{number}.{('wav', 'flac')[number % 2]}"
        sf.write(path, samples, (8000, 22050)[number % 2])
        paths.append(str(path))
    (folder / "broken.wav").write_text("broken")
    return [*paths[:5], str(folder / "broken.wav"), *paths[5:], str(folder / "gone.wav")]


def test_a_long_resampled_file_gives_the_same_bits_apart_and_here(tagger: Tagger, tmp_path: Path):
    samples = np.random.default_rng(0).normal(0, 0.1, (44100 * 31, 2)).astype(np.float32)
    sf.write(tmp_path / "long.ogg", samples, 44100)
    (apart,) = tag_many(tagger, [str(tmp_path / "long.ogg")])
    here = tagger.tag(tmp_path / "long.ogg")
    assert here.duration_s == 31.0
    np.testing.assert_array_equal(apart.scores.logits, here.logits)


@pytest.mark.parametrize("workers", [1, 3])
def test_many_give_the_numbers_of_one(tagger: Tagger, recordings, workers):
    done = {result.path: result for result in tag_many(tagger, recordings, workers=workers, overlap=0.25)}
    assert sorted(done) == sorted(recordings)
    for path in recordings:
        result = done[path]
        if result.scores is None:
            assert Path(path).name in ("broken.wav", "gone.wav")
            assert str(result.error).startswith(path)
            continue
        alone = tagger.tag(path, overlap=0.25)
        np.testing.assert_array_equal(result.scores.logits, alone.logits)
        np.testing.assert_array_equal(result.scores.probabilities, alone.probabilities)
        np.testing.assert_array_equal(result.scores.start_s, alone.start_s)


def test_paths_are_taken_as_they_are_needed(tagger: Tagger, recordings):
    taken = []

    def endless():
        while True:
            taken.append(recordings[0])
            yield recordings[0]

    results = tag_many(tagger, endless(), workers=2)
    for _ in range(10):
        next(results)
    results.close()
    assert len(taken) < 200


def test_stopping_early_leaves_no_thread_and_no_process(tagger: Tagger, recordings):
    before = threading.active_count()
    first = Decoder(30)
    results = tag_many(tagger, recordings, workers=2, first=first)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert first._child is None


def test_a_hung_file_times_out_and_the_rest_are_tagged(tagger: Tagger, recordings):
    hanging = Decoder(
        0.5,
        """
import time
import earmark.audio.read as real
honest = real.stream
def stream(path, **options):
    if path.endswith("0.wav"):
        time.sleep(600)
    return honest(path, **options)
real.stream = stream
from earmark.tagging.decoder import serve
serve()
""",
    )
    hanging.timeout_s = 2.0
    done = {result.path: result for result in tag_many(tagger, recordings[:4], workers=1, first=hanging)}
    assert done[recordings[0]].error.reason == "timed-out"
    assert all(done[path].scores is not None for path in recordings[1:4])


def test_an_error_from_the_paths_is_raised_here(tagger: Tagger, recordings):
    def paths():
        yield recordings[0]
        yield recordings[1]
        yield recordings[2]
        raise RuntimeError("the list broke")

    with pytest.raises(RuntimeError, match="the list broke"):
        list(tag_many(tagger, paths(), workers=1))


def test_nothing_to_tag(tagger: Tagger):
    assert list(tag_many(tagger, [])) == []


def test_the_listener_hears_every_second(tagger: Tagger, recordings):
    heard = []
    list(
        tag_many(tagger, recordings[:1], heard=lambda path, seconds, duration: heard.append((path, seconds, duration)))
    )
    duration = sf.info(recordings[0]).duration
    assert sum(seconds for _, seconds, _ in heard) == pytest.approx(duration)
    assert heard[0][2] == pytest.approx(duration)
