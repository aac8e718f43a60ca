import numpy as np
import pytest
import torch

from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("n_mels", [20, 64, 100])
def test_the_same_numbers_whatever_the_number_of_threads(power: int, n_mels: int, clips_5s: np.ndarray) -> None:
    spec = FeatureSpec(power=power, n_mels=n_mels)
    front_end, samples = LogMel(spec), torch.from_numpy(clips_5s)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(front_end(samples))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_one_clip_is_itself_in_any_batch(clips_5s: np.ndarray) -> None:
    front_end, samples = LogMel(FeatureSpec()), torch.from_numpy(clips_5s)
    together = front_end(samples)
    for i in range(len(samples)):
        # a lone clip is cut into other blocks, which some products sum in another order
        torch.testing.assert_close(front_end(samples[i : i + 1])[0], together[i], rtol=0, atol=2e-5)


@pytest.fixture
def clips_5s() -> np.ndarray:
    """Three clips of pink noise, one of them a thousand times quieter."""
    rng = np.random.default_rng(0)
    white = np.fft.rfft(rng.normal(size=(3, 160_000)))
    pink = np.fft.irfft(white / np.sqrt(np.arange(1, white.shape[1] + 1)), axis=1)
    return (pink / np.abs(pink).max(axis=1, keepdims=True) * np.array([[0.5], [0.05], [0.0005]])).astype(np.float32)
