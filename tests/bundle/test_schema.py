from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from earmark.bundle.schema import Calibration, Tags, Windows, check_file_name, header_hash, render
from earmark.errors import BundleError


def test_temperature_divides_the_logits_before_the_softmax():
    found = Calibration.temperature(2.0).apply([[2.0, 0.0], [0.0, 4.0]], "exclusive")
    # softmax([1, 0]) and softmax([0, 2])
    np.testing.assert_allclose(found, [[0.73105858, 0.26894142], [0.11920292, 0.88079708]], rtol=1e-6)
    assert found.dtype == np.float32


def test_platt_scales_and_shifts_each_tag_before_the_sigmoid():
    calibration = Calibration(kind="platt", scale=(2.0, 1.0), bias=(0.0, -1.0))
    # sigmoid(2 * 1), sigmoid(1 - 1)
    np.testing.assert_allclose(calibration.apply([1.0, 1.0], "multilabel"), [0.88079708, 0.5], rtol=1e-6)


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_probabilities_stay_probabilities_however_large_the_logits(logits):
    exclusive = Calibration().apply(logits, "exclusive")
    multilabel = Calibration().apply(logits, "multilabel")
    np.testing.assert_allclose(exclusive.sum(axis=1), 1.0, rtol=1e-5)
    assert ((multilabel >= 0) & (multilabel <= 1)).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "none", "scale": (1.0,)},
        {"kind": "temperature"},
        {"kind": "temperature", "scale": (1.0,), "bias": (0.5,)},
        {"kind": "platt", "scale": (1.0,)},
        {"kind": "temperature", "scale": (-1.0,)},
        {"kind": "temperature", "scale": (float("nan"),)},
    ],
)
def test_calibration_refuses_numbers_that_do_not_fit_its_kind(fields):
    with pytest.raises(ValidationError):
        Calibration(**fields)


def test_hop_follows_the_overlap():
    windows = Windows(length_samples=4000, sample_rate_hz=8000, overlap=0.5)
    assert (windows.hop_samples(), windows.hop_samples(0.0), windows.hop_samples(0.9999)) == (2000, 4000, 1)
    assert windows.length_s == 0.5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"thresholds": {"bird": 0.5}}, "'bird' is not in the vocabulary"),
        ({"thresholds": {"dog": 1.5}}, "expected 0 to 1"),
        ({"calibration": Calibration(kind="platt", scale=(1.0, 1.0, 1.0), bias=(0.0,))}, "3 numbers for 2 tags"),
        ({"windows": Windows(length_samples=4000, sample_rate_hz=16000)}, "must be equal"),
        ({"windows": Windows(length_samples=4001, sample_rate_hz=8000)}, "clip_s makes 4000"),
        ({"files": {"../model.onnx": "0" * 64}}, "not a plain path"),
        ({"files": {"model.onnx": "abc"}}, "no sha256"),
        ({"colour": "blue"}, "Extra inputs"),
    ],
)
def test_header_names_the_part_that_makes_no_sense(header, changes, field):
    with pytest.raises(ValidationError, match=field):
        header(**changes)


def test_a_tag_may_stand_once():
    with pytest.raises(ValidationError, match="twice"):
        Tags(tags=("dog", "dog"), kind="exclusive")


def test_thresholds_default_to_a_half_for_multilabel_and_to_none_for_exclusive(header):
    assert header().threshold_row() is None
    multilabel = header(vocabulary=Tags(tags=("dog", "cat"), kind="multilabel"), thresholds={"cat": 0.25})
    np.testing.assert_array_equal(multilabel.threshold_row(), np.float32([0.5, 0.25]))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", "a\\b", "C:x", "x\0", "earmark.json"]
)
def test_file_names_stay_inside_the_folder(name):
    with pytest.raises(ValueError, match="files:"):
        check_file_name(name)


def test_file_names_may_hold_folders_and_unicode():
    assert check_file_name("members/0/weights.safetensors") == "members/0/weights.safetensors"
    assert check_file_name("report/ß 音.png") == "report/ß 音.png"


def test_a_figure_that_could_not_be_computed_is_null(header):
    figures = {"metrics": {"test": {"accuracy": 0.5, "roc_auc_macro": float("nan")}, "list": [float("inf"), 1]}}
    found = json.loads(header(provenance=figures).render())["provenance"]
    assert found == {"metrics": {"test": {"accuracy": 0.5, "roc_auc_macro": None}, "list": [None, 1]}}


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda key: key != "sha256"),
        st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8) | st.lists(st.integers()),
        max_size=5,
    )
)
def test_rendered_bytes_vouch_for_themselves(content):
    try:
        data = render(content)
    except UnicodeEncodeError:  # lone surrogates cannot be written as UTF-8
        return
    assert len(header_hash(data)) == 64
    with pytest.raises(BundleError):
        header_hash(data.replace(b"\n}", b" \n}"))
