from __future__ import annotations

import re
from pathlib import Path

from earmark.features.spec import FeatureSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
IN_WORDS = {"null": None, "true": True, "n_fft": None}


def test_the_page_has_every_field_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    told = {name: default.strip() for name, default in rows}
    assert list(told) == list(FeatureSpec.model_fields)
    for name, field in FeatureSpec.model_fields.items():
        expected = IN_WORDS[told[name]] if told[name] in IN_WORDS else type(field.default)(told[name])
        assert expected == field.default, name


def test_the_page_shows_the_default_steps() -> None:
    assert "\n".join(FeatureSpec().describe()) in PAGE.read_text(encoding="utf-8")
