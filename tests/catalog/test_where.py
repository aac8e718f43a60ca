"""What --where means, and what it refuses."""

from __future__ import annotations

import pytest

from earmark.catalog.where import parse_where
from earmark.errors import InputError
from earmark.types import LabelValue

F, B, A, P, U = (LabelValue(word) for word in ("foreground", "background", "absent", "present", "unsure"))
TAGS = ("sax", "piano")


@pytest.mark.parametrize(
    ("text", "names", "answers"),
    [
        ("sax=foreground vs absent", ["sax", "not sax"], {F: "sax", B: None, A: "not sax", U: None, P: None}),
        ("sax=present vs absent", ["sax", "not sax"], {F: "sax", B: "sax", P: "sax", A: "not sax", U: None}),
        (
            "sax=foreground vs background vs absent",
            ["sax foreground", "sax background", "not sax"],
            {F: "sax foreground", B: "sax background", A: "not sax"},
        ),
        ("solo: sax=foreground vs rest: sax=background|absent", ["solo", "rest"], {F: "solo", B: "rest", A: "rest"}),
        ("sax=foreground|absent", ["sax"], {F: "sax", A: "sax", B: None}),
    ],
)
def test_classes_of_one_tag(text: str, names: list[str], answers: dict[LabelValue, str | None]) -> None:
    where = parse_where(text, TAGS)
    assert [one.name for one in where.classes] == names
    assert where.is_filter == (len(names) == 1)
    assert {value: where.class_of({"sax": value}) for value in answers} == answers
    assert where.class_of({}) is None


def test_classes_of_several_tags() -> None:
    where = parse_where("sax=present & piano=absent vs piano=present & sax=absent", TAGS)
    assert [one.name for one in where.classes] == ["sax", "piano"]
    assert where.class_of({"sax": F, "piano": A}) == "sax"
    assert where.class_of({"sax": A, "piano": B}) == "piano"
    assert where.class_of({"sax": F, "piano": F}) is None


def test_a_clip_of_two_classes_is_refused() -> None:
    with pytest.raises(InputError, match="is both 'sax' and 'piano'"):
        parse_where("sax=present vs piano=present", TAGS).class_of({"sax": F, "piano": F})


def test_the_only_tag_need_not_be_named() -> None:
    assert (
        parse_where("foreground vs absent", ("sax",)).classes == parse_where("sax=foreground vs absent", TAGS).classes
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foreground vs absent", "'foreground' names no tag"),
        ("drums=present vs absent", "the task has no tag 'drums'; its tags are sax, piano"),
        ("sax=loud vs absent", "'loud' is no value"),
        ("sax= vs absent", "'' is no value"),
        ("sax=unsure vs absent", "what people are unsure of is no class"),
        ("sax=present & sax=absent", "'sax' stands twice in one class"),
        ("a: sax=present vs a: sax=absent", "two classes are named 'a'"),
        ("sax=present vs foreground vs absent", ""),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    if said:
        with pytest.raises(InputError) as caught:
            parse_where(text, TAGS)
        assert said in str(caught.value)
    else:
        with pytest.raises(InputError, match="is both"):
            parse_where(text, TAGS).class_of({"sax": F})
