from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from earmark.errors import InputError
from earmark.features.spec import FeatureSpec


def sentence(fields: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        FeatureSpec(**fields)
    (error,) = refused.value.errors()
    return str(error["msg"])


SYSTEM_SHAPES = {  # channels, bands, frames, from the systems' own documents, and of our own
    "sax": (1, 128, 108),
    "drone-car-speech": (1, 64, 63),
    "freesound2019": (3, 128, 128),
    "fma-genre": (1, 128, 259),
    "freesound-tags": (1, 96, 96),
    "default": (1, 64, 501),
    "small-cnn": (1, 64, 321),
}


def test_shapes_of_the_five_systems(spec: FeatureSpec, request: pytest.FixtureRequest) -> None:
    assert spec.shape() == SYSTEM_SHAPES[request.node.callspec.params["spec"]]


def test_survives_a_round_trip(spec: FeatureSpec) -> None:
    assert FeatureSpec(**spec.model_dump()) == spec
    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"n_mel": 64}, "no field 'n_mel'; did you mean 'n_mels'?"),
        ({"hop": 64}, "did you mean 'hop_length'?"),
        ({"sample_rate_hz": 16_000, "fmax_hz": 15_000.0}, "fmax_hz is 15000, expected at most 8000"),
        ({"fmin_hz": 15_000.0}, "fmin_hz is 15000, expected 0 or more and below fmax_hz 15000"),
        ({"clip_s": 0.3333}, "at 32000 Hz that is 10665.600 samples, expected a whole number; the nearest is"),
        ({"clip_s": -1.0}, "clip_s is -1.0, expected a number above 0"),
        ({"clip_s": 0.01}, "a clip of 320 samples is too short for n_fft 1024: expected at least 513"),
        ({"n_fft": 1023}, "n_fft is 1023, expected an even number"),
        ({"win_length": 2048}, "win_length is 2048, expected 1..1024"),
        ({"hop_length": 1025}, "hop_length is 1025 and win_length 1024: samples between two frames"),
        ({"win_length": 256}, "hop_length is 320 and win_length 256"),
        ({"scaling": "ln", "top_db": 80.0}, "top_db is 80.0, which only scaling: db reads"),
        ({"scaling": "none", "db_ref": "max"}, "db_ref is 'max', which only scaling: db reads"),
        ({"ln_offset": 1e-6}, "ln_offset is 1e-06, which only scaling: ln reads"),
        ({"crop": "energy"}, "crop: energy needs patch_frames"),
        ({"patch_frames": 96}, "crop: energy needs patch_frames"),
        ({"crop": "energy", "patch_frames": 502}, "patch_frames is 502, expected at most 501"),
        ({"patch_hop": 12}, "which only patch_frames reads"),
        ({"clip_s": 0.05, "deltas": 1}, "a clip of 6 frames is too short, deltas need 9"),
        ({"resize": [0, 10]}, "resize is [0, 10], expected (bands, frames), both above 0"),
        ({"fmin_hz": 1001.0, "fmax_hz": 1002.0}, "no mel band holds a bin of the spectrum"),
        ({"window": "hanning"}, "'hann' or 'hamming'"),
        ({"n_mels": "64"}, "valid integer"),
    ],
)
def test_refused_in_one_sentence(fields: dict[str, Any], expected: str) -> None:
    assert expected in sentence(fields)


def test_the_nearest_clip_it_names_is_accepted() -> None:
    assert "clip_s: 0.33334375" in sentence({"clip_s": 1 / 3})
    assert FeatureSpec(clip_s=0.33334375).n_samples == 10_667


def test_empty_mel_bands_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "earmark.features"):
        spec = FeatureSpec(n_mels=512)
    assert len(spec.empty_mel_bands) == 108
    assert "108 of 512 mel bands hold no bin" in caplog.text


def test_top_db_is_80_for_db_only() -> None:
    assert FeatureSpec().top_db == 80.0
    assert FeatureSpec(scaling="ln").top_db is None


FRAMES = (
    "frames (501, 1024): hann window of 1024, hop 320 (10.0 ms), centred, reflect ends of 512; "
    "the last frame is 0 samples before the end"
)


def test_describe_states_every_shape() -> None:
    spec = FeatureSpec(deltas=2, crop="energy", patch_frames=96, resize=(128, 108), normalise="clip-z")
    assert spec.describe() == [
        "samples (160000,): 5 s at 32000 Hz, float32",
        FRAMES,
        "spectrum (513, 501): power, 31.25 Hz a bin",
        "mel bands (64, 501): 50-15000 Hz, slaney scale, norm slaney",
        "scaled (64, 501): dB, 0 dB is 1, floor 80 dB below the loudest",
        "deltas (3, 64, 501): width 9",
        "patch (3, 64, 96): the frames with the highest energy",
        "resized (3, 128, 108): linear, anti-aliased",
        "picture (3, 128, 108): normalise clip-z, float32",
    ]


def test_what_no_frame_holds_is_told() -> None:
    spec = FeatureSpec(sample_rate_hz=16_000, clip_s=1.0, fmax_hz=8000.0, hop_length=300, centre=False)
    # 1 + (16000 - 1024) // 300 = 50 frames end at 49 * 300 + 1024 = 15724
    assert spec.n_frames(16_000) == 50
    assert "the last 276 samples are in no frame" in spec.describe()[1]


def test_a_clip_too_short_for_its_patch_is_refused() -> None:
    spec = FeatureSpec(crop="energy", patch_frames=96)
    with pytest.raises(InputError, match="51 frames are fewer than patch_frames 96"):
        spec.shape(16_000)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1024, 100_000), hop=st.integers(1, 1024))
def test_frames_uncentred_never_pass_the_end(n: int, hop: int) -> None:
    spec = FeatureSpec(hop_length=hop, centre=False)
    frames = spec.n_frames(n)
    assert (frames - 1) * hop + spec.n_fft <= n < frames * hop + spec.n_fft
