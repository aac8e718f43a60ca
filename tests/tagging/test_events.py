from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.tagging.events import Event, find_events


def events(
    probabilities: list[float], *, hop: float = 1.0, length: float = 1.0, **options
) -> list[tuple[float, float]]:
    start = hop * np.arange(len(probabilities))
    found = find_events(
        "dog",
        start,
        start + length,
        np.array(probabilities),
        np.array(probabilities) * 10,
        **{"on": 0.5, "off": 0.3, **options},
    )
    return [(event.start_s, event.stop_s) for event in found]


def test_hysteresis_holds_an_event_through_a_dip_but_starts_none_below_on():
    assert events([0.1, 0.4, 0.6, 0.4, 0.6, 0.1, 0.4, 0.1]) == [(1.0, 5.0)]


def test_pauses_shorter_than_the_gap_are_closed():
    p = [0.9, 0.0, 0.9, 0.0, 0.0, 0.9]
    assert events(p) == [(0.0, 1.0), (2.0, 3.0), (5.0, 6.0)]
    assert events(p, min_gap_s=1.5) == [(0.0, 3.0), (5.0, 6.0)]
    assert events(p, min_gap_s=1.0) == [(0.0, 1.0), (2.0, 3.0), (5.0, 6.0)]
    assert events(p, min_gap_s=2.5) == [(0.0, 6.0)]


def test_short_events_are_dropped_after_pauses_were_closed():
    assert events([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], min_gap_s=1.5, min_duration_s=2.0) == [(0.0, 3.0)]


def test_overlapping_windows_of_one_tag_become_one_event():
    # windows of 4 s every second: the two loud ones overlap in time although one between them is quiet
    assert events([0.9, 0.0, 0.9, 0.0, 0.0, 0.0], length=4.0) == [(0.0, 6.0)]


def test_an_event_carries_its_largest_and_mean_probability_and_the_logit_of_the_largest():
    start = np.arange(3.0)
    found = find_events("dog", start, start + 1, np.array([0.4, 0.8, 0.6]), np.array([1.0, 2.0, 3.0]), on=0.5, off=0.3)
    assert found == [Event(0.0, 3.0, "dog", 0.8, np.mean([0.4, 0.8, 0.6]), 2.0)]
    assert found[0].duration_s == 3.0


def test_silence_has_no_event():
    assert events([]) == []
    assert events([0.1, 0.2]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.1, 0.9), st.floats(0, 5), st.floats(0, 5))
def test_events_stand_apart_in_order_and_long_enough(probabilities, on, gap, duration):
    found = events(probabilities, on=on, off=on / 2, min_gap_s=gap, min_duration_s=duration)
    for start, stop in found:
        assert stop - start >= duration
        assert max(probabilities[int(start) : int(stop)]) >= on
    for (_, stop), (start, _) in itertools.pairwise(found):
        assert start - stop >= gap
