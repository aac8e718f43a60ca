"""Confounds: found where they are, and not where they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.explore.confounds import find_confounds


def table(n: int, **columns: object) -> pd.DataFrame:
    plain = {"sample_rate_hz": 16000, "channels": 1, "format": "WAV/PCM_16", "bandwidth_hz": 8000.0, "duration_s": 1.0}
    return pd.DataFrame(plain | {"rms_db": -20.0, "silence": 0.0, "dc_offset": 0.0} | columns, index=range(n))


def halves(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    inside = np.arange(n) < n // 2
    return np.stack([inside, ~inside], axis=1)


def test_a_class_in_the_middle_of_a_range_is_found_too() -> None:
    duration = np.concatenate([np.linspace(2.0, 2.1, 20), np.linspace(0.5, 1.0, 10), np.linspace(4.0, 5.0, 10)])
    found = find_confounds(table(40, duration_s=duration), halves(40), ("mid", "rest"))
    (mid,) = [c for c in found if c.tag == "mid"]
    assert (mid.property, mid.strength, mid.where, mid.never_natural) == ("duration_s", 1.0, "2.00 s to 2.10 s", False)


def test_how_it_is_stored_can_never_be_natural_and_comes_first() -> None:
    columns = {"channels": [2] * 18 + [1] * 22, "rms_db": [-40.0] * 20 + [-10.0] * 20}
    found = find_confounds(table(40, **columns), halves(40), ("a", "b"))
    assert [(c.property, c.tag) for c in found if c.tag == "a"] == [("channels", "a"), ("rms_db", "a")]
    assert found[0].strength == pytest.approx(0.9)
    assert next(c for c in found if c.tag == "a").sentence() == "90% of 'a' have 2 channels, 0% of the other files do"


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_classes_drawn_from_one_pool_raise_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {
        "sample_rate_hz": rng.choice([16000, 44100], 80),
        "bandwidth_hz": rng.uniform(4000, 20000, 80),
        "duration_s": rng.uniform(1, 5, 80),
        "rms_db": rng.normal(-25, 5, 80),
    }
    assert [c for c in find_confounds(table(80, **columns), halves(80), ("a", "b")) if c.strength > 0.8] == []


def test_too_few_files_say_nothing() -> None:
    columns = {"sample_rate_hz": [8000] * 5 + [16000] * 5}
    assert find_confounds(table(10, **columns), halves(10), ("a", "b")) == []
