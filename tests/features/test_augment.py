from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.errors import InputError
from earmark.features import augment
from earmark.features.augment_spec import AugmentSpec
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel

INF = torch.inf
EVERYTHING = AugmentSpec(
    time_shift=0.5, polarity=True, gain_db=6.0, noise_snr_db=(5.0, 20.0), background_snr_db=(10.0, 20.0),
    mixup_alpha=0.4, cutmix_alpha=1.0, pitch=0.1, tempo=0.2, equaliser=0.5, brightness=0.2, contrast=0.2, noise=0.01,
    time_masks=2, time_mask_frames=8, band_masks=2, band_mask_bands=8,
)  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(clips: int = 4, n: int = 400, tags: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    samples = torch.randn(clips, n, generator=seeded(9)) * 0.1
    targets = torch.eye(tags)[torch.arange(clips) % tags]
    return samples, targets, torch.ones_like(targets)


CENTRES_HZ = torch.linspace(100.0, 1200.0, 12)


def pictures(clips: int = 4, channels: int = 1, bands: int = 12, frames: int = 30) -> Tensor:
    return torch.randn(clips, channels, bands, frames, generator=seeded(8))


# -------------------------------------------------------------------------- applying literal parameters


def test_time_shift() -> None:
    x = torch.tensor([[1.0, 2, 3, 4]]).repeat(4, 1)
    shift = augment.Shift(torch.tensor([0, 1, -1, 5]))
    assert augment.time_shift(x, shift).tolist() == [[1, 2, 3, 4], [4, 1, 2, 3], [2, 3, 4, 1], [4, 1, 2, 3]]
    assert augment.time_shift(x, shift, "zero").tolist() == [[1, 2, 3, 4], [0, 1, 2, 3], [2, 3, 4, 0], [0, 0, 0, 0]]


def test_gain_and_polarity() -> None:
    changed = augment.gain(torch.ones(2, 3), augment.Gain(torch.tensor([0.5, -2.0])))
    assert changed.tolist() == [[0.5] * 3, [-2.0] * 3]


def test_noise_comes_at_its_ratio() -> None:
    x = torch.full((2, 1000), 0.5)
    noise = augment.Noise(torch.randn(2000, generator=seeded()), torch.tensor([0, 7]), torch.tensor([20.0, INF]))
    added = augment.add_noise(x, noise) - x
    assert added[0].square().mean().sqrt().item() == pytest.approx(0.05, rel=0.1)
    assert torch.equal(added[1], torch.zeros(1000))


def test_background_comes_at_its_ratio_and_a_silent_one_adds_nothing() -> None:
    x = torch.stack([torch.full((100,), 0.5), torch.full((100,), 0.01), torch.zeros(100)])
    drawn = augment.Background(torch.tensor([1, 2, 0]), torch.tensor([20.0, 0.0, 0.0]))
    mixed = augment.add_background(x, drawn)
    torch.testing.assert_close(mixed[0], torch.full((100,), 0.55))
    torch.testing.assert_close(mixed[1], x[1])
    torch.testing.assert_close(mixed[2], x[2])


def test_mix_and_its_targets() -> None:
    x = torch.tensor([[1.0], [2.0], [4.0]])
    drawn = augment.Mix(torch.tensor([1, 2, 0]), torch.tensor([0.75, 1.0, 0.0]))
    assert augment.mix(x, drawn).tolist() == [[1.25], [2.0], [1.0]]
    targets = torch.eye(3)
    assert augment.mix_targets(targets, drawn).tolist() == [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]]
    assert augment.mix_targets(targets, drawn, "or").tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_a_tag_unlabelled_in_either_sound_heard_weighs_nothing() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.5, 1.0], [1.0, 1.0]])
    drawn = augment.Mix(torch.tensor([1, 0, 0]), torch.tensor([0.5, 1.0, 0.0]))
    assert augment.mix_weights(weights, drawn).tolist() == [[0.75, 0.0], [0.5, 1.0], [1.0, 0.0]]


def test_cut_takes_a_span_of_the_partner() -> None:
    x = torch.stack([torch.zeros(1, 2, 5), torch.ones(1, 2, 5)])
    drawn = augment.Cut(torch.tensor([1, 0]), torch.tensor([1, 0]), torch.tensor([3, 0]))
    assert augment.cut(x, drawn)[:, 0, 0].tolist() == [[0, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    torch.testing.assert_close(augment.cut_as_mix(drawn, 5).weights, torch.tensor([0.4, 1.0]))


def test_masks_hide_spans() -> None:
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)  # [[1, 2, 3], [4, 5, 6]]
    last_two = augment.Masks(torch.tensor([[1]]), torch.tensor([[2]]))
    assert augment.mask(x, last_two, "frames", "zero").tolist() == [[[[1, 0, 0], [4, 0, 0]]]]
    assert augment.mask(x, last_two, "frames", "mean").tolist() == [[[[1, 3.5, 3.5], [4, 3.5, 3.5]]]]
    first = augment.Masks(torch.tensor([[0]]), torch.tensor([[1]]))
    assert augment.mask(x, first, "bands", "min").tolist() == [[[[1, 1, 1], [4, 5, 6]]]]


def test_equaliser_moves_bands_of_the_picture_and_not_its_deltas() -> None:
    x = torch.zeros(1, 2, 3, 2)
    changed = augment.equalise(x, augment.Equaliser(torch.tensor([[1.0, 0.0, -1.0]])))
    assert changed[0, 0].tolist() == [[1, 1], [0, 0], [-1, -1]]
    assert not changed[0, 1].any()


def test_lighting_turns_around_the_mean() -> None:
    x = torch.tensor([[[[0.0, 2.0]]]])
    changed = augment.light(x, augment.Lighting(torch.tensor([0.5]), torch.tensor([2.0])))
    assert changed.tolist() == [[[[-0.5, 3.5]]]]


# -------------------------------------------------------------------------- what is drawn


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 60), widest=st.integers(0, 80), count=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_masks_stay_inside_and_within_their_width(size: int, widest: int, count: int, seed: int) -> None:
    masks = augment.draw_masks(50, size, count, widest, seeded(seed))
    assert masks.starts.shape == masks.widths.shape == (50, count)
    assert masks.starts.min() >= 0
    assert masks.widths.min() >= 0
    assert masks.widths.max() <= min(widest, size)
    assert (masks.starts + masks.widths).max() <= size


def test_exact_masks_always_have_their_width() -> None:
    assert (augment.draw_masks(100, 63, 1, 8, seeded(), exact=True).widths == 8).all()
    assert (augment.draw_masks(100, 5, 1, 8, seeded(), exact=True).widths == 5).all()


def test_masks_reach_their_full_width_and_both_ends() -> None:
    masks = augment.draw_masks(500, 20, 1, 8, seeded())
    assert masks.widths.max() == 8
    assert masks.starts.min() == 0
    assert (masks.starts + masks.widths).max() == 20


@settings(max_examples=30, deadline=None)
@given(alpha=st.floats(0.1, 5), probability=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_mixed_targets_sum_to_one(alpha: float, probability: float, seed: int) -> None:
    targets = torch.eye(4)[torch.arange(32) % 4]
    generator = seeded(seed)
    mixed = augment.mix_targets(targets, augment.draw_mix(32, alpha, probability, generator))
    span = augment.draw_cut(32, 50, alpha, probability, generator)
    cut = augment.mix_targets(targets, augment.cut_as_mix(span, 50))
    for result in (mixed, cut):
        torch.testing.assert_close(result.sum(dim=1), torch.ones(32))
        assert result.min() >= 0
    assert (span.starts + span.widths).max() <= 50


def test_probability_nothing_is_identity_and_one_is_all() -> None:
    samples, targets, weights = batch()
    nothing = AugmentSpec(
        noise_snr_db=(0.0, 0.0), noise_probability=0.0, background_snr_db=(0.0, 0.0), background_probability=0.0,
        mixup_alpha=1.0, mixup_probability=0.0, cutmix_alpha=1.0, cutmix_probability=0.0,
    )  # fmt: skip
    x, y, w = augment.augment_samples(samples, targets, weights, nothing, seeded())
    assert torch.equal(x, samples)
    assert torch.equal(y, targets)
    assert torch.equal(w, weights)
    picture = pictures()
    x, y, w = augment.augment_pictures(picture, targets, weights, nothing, seeded(), CENTRES_HZ)
    assert torch.equal(x, picture)
    assert torch.equal(y, targets)
    noise = augment.draw_noise(64, 10, (3.0, 4.0), 1.0, seeded())
    assert noise.snr_db.isfinite().all()
    assert noise.snr_db.min() >= 3.0
    assert noise.snr_db.max() <= 4.0


def test_the_default_spec_changes_nothing() -> None:
    samples, targets, weights = batch()
    assert augment.augment_samples(samples, targets, weights, AugmentSpec(), seeded())[0] is samples
    picture = pictures()
    assert augment.augment_pictures(picture, targets, weights, AugmentSpec(), seeded(), CENTRES_HZ)[0] is picture


def test_one_seed_gives_one_result_and_another_another() -> None:
    samples, targets, weights = batch()
    picture = pictures(channels=3)

    def run(seed: int) -> list[Tensor]:
        generator = seeded(seed)
        return [
            *augment.augment_samples(samples, targets, weights, EVERYTHING, generator),
            *augment.augment_pictures(picture, targets, weights, EVERYTHING, generator, CENTRES_HZ),
        ]

    before = samples.clone(), picture.clone()
    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[3], other[3])
    assert torch.equal(before[0], samples)  # what came in is left as it was
    assert torch.equal(before[1], picture)


def test_drawn_ranges() -> None:
    factors = augment.draw_gain(1000, 6.0, True, seeded()).factors
    assert factors.abs().min() > 0.5
    assert factors.abs().max() < 2.0
    assert 400 < (factors < 0).sum() < 600
    offsets = augment.draw_shift(1000, 100, 0.25, seeded()).offsets
    assert offsets.min() == -25
    assert offsets.max() == 25
    gains = augment.draw_equaliser(1000, 64, 0.5, 4, seeded()).gains
    assert gains.shape == (1000, 64)
    assert gains.abs().max() <= 0.5
    assert gains.diff(dim=1).abs().max() < 0.2  # no band jumps away from its neighbour


def test_augmentation_of_mismatched_batches_is_refused() -> None:
    samples, targets, weights = batch()
    with pytest.raises(InputError, match=r"clips \(4, 400\), targets \(3, 3\)"):
        augment.augment_samples(samples, targets[:3], weights[:3], AugmentSpec(), seeded())


def test_speed_changes_pitch_and_tempo_and_keeps_the_length() -> None:
    n, rate = 8000, 8000
    time = torch.arange(n) / rate
    tone = torch.sin(2 * torch.pi * 400 * time)[None].repeat(3, 1)
    played = augment.change_speed(tone, augment.Speed(torch.tensor([1.0, 1.25, 0.8])))
    assert played.shape == tone.shape
    torch.testing.assert_close(played[0], tone[0], atol=1e-4, rtol=0)
    peaks = torch.fft.rfft(played[:, :6000]).abs().argmax(dim=1) * rate / 6000
    assert peaks.tolist() == pytest.approx([400, 500, 320], abs=2)
    # what is too short is repeated from its beginning
    torch.testing.assert_close(played[1, 6400:], played[1, :1600])


def test_speeds_are_as_often_slower_as_faster() -> None:
    rates = augment.draw_speed(4000, 0.25, torch.Generator().manual_seed(0)).rates
    assert rates.min() >= 0.8 - 1e-6
    assert rates.max() <= 1.25 + 1e-6
    assert 0.45 < float((rates > 1).float().mean()) < 0.55


def test_warp() -> None:
    picture = torch.arange(12.0).reshape(1, 1, 3, 4).repeat(2, 2, 1, 1)
    drawn = augment.Warp(torch.tensor([[0, 1, 2], [0, 0, 1]]), torch.tensor([[0, 1, 2, 3], [2, 3, 0, 1]]))
    warped = augment.warp(picture, drawn)
    assert torch.equal(warped[0], picture[0])
    assert warped[1, 1].tolist() == [[2, 3, 0, 1], [2, 3, 0, 1], [6, 7, 4, 5]]


def test_a_warped_tone_is_a_tone_of_another_pitch() -> None:
    spec = FeatureSpec(sample_rate_hz=16_000, clip_s=1.0, n_fft=512, hop_length=160, fmin_hz=40.0, fmax_hz=7600.0)
    front_end = LogMel(spec)
    centres = front_end.centres_hz
    time = torch.arange(16_000) / 16_000
    picture = front_end(torch.sin(2 * torch.pi * 1000 * time).repeat(64, 1))
    drawn = augment.draw_warp(64, centres, picture.shape[3], 0.25, 0.0, seeded())
    loudest = centres[augment.warp(picture, drawn).mean(dim=3)[:, 0].argmax(dim=1)]
    # the same draws again: the rates come first
    rates = (torch.rand((64, 1), generator=seeded()) * 2 - 1).mul(math.log(1.25)).exp()[:, 0]
    assert (loudest / (1000 * rates) - 1).abs().max() < 0.06  # half a band
    assert torch.equal(drawn.frames[0], torch.arange(picture.shape[3]))


def test_tempo_goes_round_and_keeps_the_bands() -> None:
    drawn = augment.draw_warp(500, CENTRES_HZ, 100, 0.0, 0.25, seeded())
    assert torch.equal(drawn.bands, torch.arange(12).repeat(500, 1))
    steps = drawn.frames.diff(dim=1) % 100
    assert steps.min() >= 0
    assert steps.max() <= 2
    covered = steps.sum(dim=1) / 99
    assert covered.min() >= 0.79
    assert covered.max() <= 1.26
    assert 0.45 < float((covered > 1).float().mean()) < 0.55


def test_the_rows_of_a_resized_picture_have_centres() -> None:
    spec = FeatureSpec(resize=(32, 48))
    centres = LogMel(spec).centres_hz
    assert len(centres) == 32
    assert (centres.diff() > 0).all()
