"""The parts that need no server: limits, signatures, pictures, bars."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from earmark.audio.synthetic import recording
from earmark.errors import InputError
from earmark.features.spec import FeatureSpec
from earmark.web import png
from earmark.web.bars import bars_of
from earmark.web.drawing import peaks, picture_of, ticks
from earmark.web.limits import Limits, TooManyError
from earmark.web.signing import Signer, load_key


def test_a_bucket_fills_up_again_at_its_pace() -> None:
    now = [0.0]
    limits = Limits(clock=lambda: now[0])
    for _ in range(3):
        limits.take("logins", "a", most=3, per_s=60)
    with pytest.raises(TooManyError) as refused:
        limits.take("logins", "a", most=3, per_s=60)
    assert refused.value.wait_s == pytest.approx(20)
    limits.take("logins", "b", most=3, per_s=60)  # somebody else
    now[0] = 20.0
    limits.take("logins", "a", most=3, per_s=60)
    with pytest.raises(TooManyError):
        limits.take("logins", "a", most=3, per_s=60)


def test_a_flood_of_one_kind_makes_no_other_kinds_buckets_forgotten() -> None:
    limits = Limits(clock=lambda: 0.0)
    limits.take("logins", "a", most=1, per_s=60)
    for i in range(50_001):
        limits.take("sounds", str(i), most=1, per_s=60)
    limits.take("sounds", "0", most=1, per_s=60)  # of its own kind the first is forgotten
    with pytest.raises(TooManyError):
        limits.take("logins", "a", most=1, per_s=60)


def test_what_is_signed_is_good_for_its_purpose_and_key_only() -> None:
    signer, other = Signer(b"a" * 32), Signer(b"b" * 32)
    signed = signer.sign("session", "se.cret")
    assert signer.read("session", signed) == "se.cret"
    assert [signer.read("csrf", signed), other.read("session", signed), signer.read("session", None)] == [None] * 3


def test_the_key_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    key = load_key(tmp_path)
    assert load_key(tmp_path) == key
    assert len(key) == 32
    assert (tmp_path / "web.key").stat().st_mode & 0o077 == 0
    (tmp_path / "web.key").write_text("abc")
    with pytest.raises(InputError, match=r"web\.key holds no key"):
        load_key(tmp_path)


def test_a_picture_has_high_bands_on_top_and_the_colours_of_its_palette() -> None:
    values = np.zeros((3, 4))
    values[2, 1] = 1.0  # the highest band, the second frame
    shown = np.array(Image.open(io.BytesIO(png.encode(png.shades(values, most_columns=10)))).convert("RGB"))
    assert shown.shape == (3, 4, 3)
    assert tuple(shown[0, 1]) == tuple(png.palette()[255])
    assert tuple(shown[2, 1]) == tuple(png.palette()[0])
    lightness = png.palette() @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) >= -1).all()


def test_frames_that_are_drawn_together_keep_their_loudest() -> None:
    values = np.zeros((1, 1000))
    values[0, 777] = 1.0
    shown = png.shades(values, most_columns=100)
    assert shown.shape == (1, 100)
    assert shown[0, 77] == 255


def test_a_tone_is_where_its_tick_says() -> None:
    spec = FeatureSpec()
    tone = np.sin(2 * np.pi * 4000 * np.arange(5 * spec.sample_rate_hz) / spec.sample_rate_hz).astype(np.float32)
    picture = np.array(Image.open(io.BytesIO(picture_of(tone, spec))).convert("L"), dtype=float)
    loudest = picture.mean(axis=1).argmax()
    share = dict(ticks(spec))["4 kHz"]
    assert 1 - (loudest + 0.5) / len(picture) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("length", [1, 100, 1025, 160_000])
def test_any_length_has_a_picture_and_peaks(length: int) -> None:
    samples = recording("bell", seconds=5.0, sample_rate_hz=32000, rng=np.random.default_rng(0))[:length]
    assert picture_of(samples, FeatureSpec())[:4] == b"\x89PNG"
    assert len(peaks(samples)) == min(800, length)


def test_bars_are_of_the_last_thirty_days() -> None:
    bars = bars_of([(19_000, 5), (20_000, 10), (20_010, 5)], today=20_010)
    assert len(bars) == 30
    assert [(bar.labels, bar.height) for bar in bars if bar.labels] == [(10, 80.0), (5, 40.0)]
    assert bars[-1].day == "14 Oct"
    assert [bar.labels for bar in bars_of([], today=20_010)] == [0] * 30
