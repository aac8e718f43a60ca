from __future__ import annotations

import pytest
import yaml

from earmark.bundle.card import front_matter, model_card
from earmark.bundle.schema import Refusal, Tags

PROVENANCE = {
    "recipe_name": "small-cnn",
    "seed": 7,
    "data": {"name": "esc10", "clips_trained_on": 320, "groups": 80, "fingerprint": "ab12", "licences": ["CC0"]},
    "metrics": {"test": {"accuracy": 0.95, "macro_f1": 0.9412345, "loss": 0.2, "roc_auc_macro": None}, "val": {}},
    "versions": {"python": "3.12", "torch": "2.9"},
}


def split_card(text: str) -> tuple[dict, str]:
    empty, front, body = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(front), body


def test_the_front_matter_is_what_the_hub_reads(header):
    front, body = split_card(model_card(header(provenance=PROVENANCE)))
    assert front["license"] == "cc0-1.0"
    assert front["library_name"] == "earmark"
    assert front["pipeline_tag"] == "audio-classification"
    assert front["datasets"] == ["esc10"]
    assert front["metrics"] == ["accuracy", "macro_f1"]
    result = front["model-index"][0]["results"][0]
    assert front["model-index"][0]["name"] == "toy"
    assert result["task"]["type"] == "audio-classification"
    assert result["dataset"] == {"type": "esc10", "name": "esc10", "split": "test"}
    assert result["metrics"] == [
        {"type": "accuracy", "name": "Accuracy", "value": 0.95},
        {"type": "macro_f1", "name": "Macro F1", "value": 0.941234},
    ]
    assert body.startswith("\n# toy\n")
    for text in ("`dog`, `cat`", "| Accuracy | 0.950 |", "320", "seed: `7`", "0.5 s at 8,000 Hz", "torch 2.9"):
        assert text in body


def test_what_is_not_known_is_not_claimed(header):
    front, body = split_card(model_card(header()))
    assert front["license"] == "unknown"
    assert "model-index" not in front
    assert "How good it is" not in body
    assert "trained on\n" not in body
    assert "cannot tell sounds that it was never trained on" in body


def test_limits_follow_the_model(header):
    _, body = split_card(model_card(header(refusal=Refusal(threshold=1.0, false_refusals=0.05))))
    assert "marks sounds unlike its training set as unknown (and about 5% of known ones)" in body
    assert "always names exactly one of its tags" in body
    _, body = split_card(model_card(header(vocabulary=Tags(tags=("dog", "cat"), kind="multilabel"))))
    assert "always names" not in body


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["CC BY 4.0"], {"license": "cc-by-4.0"}),
        (["CC0", "CC-BY"], {"license": "other", "license_name": "of-the-training-recordings"}),
        (["my own"], {"license": "other", "license_name": "of-the-training-recordings"}),
        ([], {"license": "unknown"}),
    ],
)
def test_the_licence_is_one_that_the_hub_knows_or_other(header, licences, expected):
    front = front_matter(header(provenance={"data": {"licences": licences}}))
    assert {key: value for key, value in front.items() if key.startswith("license")} == expected


def test_names_that_would_break_yaml_or_markdown_do_not(header):
    odd = header(
        name="yes: [no] # maybe",
        vocabulary=Tags(tags=("a`b", "c: d\ne"), kind="exclusive"),
        provenance={"data": {"name": "- a: b"}},
    )
    front, body = split_card(model_card(odd))
    assert front["datasets"] == ["- a: b"]
    assert "`a'b`, `c: d e`" in body


def test_many_tags_are_counted_not_listed(header):
    tags = tuple(f"tag{number}" for number in range(200))
    _, body = split_card(model_card(header(vocabulary=Tags(tags=tags, kind="multilabel"))))
    assert "200 tags" in body
    assert "and 140 more" in body
    assert "`tag60`" not in body
