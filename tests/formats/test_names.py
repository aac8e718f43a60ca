from __future__ import annotations

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.formats.names import printable


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_proper_names_stay_as_they_are(name: str):
    assert printable(name) == name


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes_become_text_that_utf8_and_json_take(name: bytes):
    plain = printable(os.fsdecode(name))
    assert json.loads(json.dumps(plain).encode("utf-8")) == plain
    assert plain.encode("utf-8").decode("utf-8") == plain


def test_bytes_are_spelt_out():
    assert printable(os.fsdecode(b"na\xffme-\xc3\xbc.wav")) == "na\\xffme-\u00fc.wav"
    assert printable("half a pair \ud800 \udcff") == "half a pair \\ud800 \\udcff"
