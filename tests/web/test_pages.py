"""What the pages say, asked without a browser."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from dispute import make_dispute
from queue_rows import wrongs
from web_labels import LABEL, Visiting

from earmark.catalog.changing import Wanted, change_task
from earmark.catalog.database import Catalog
from earmark.catalog.gold import gold_of
from earmark.catalog.labelling import submit
from earmark.catalog.pages import disputes, labels_by_day, numbers_of
from earmark.catalog.people import find_person, log
from earmark.catalog.queueing import next_clips
from earmark.catalog.tables import Duplicate
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task
from earmark.catalog.trusting import set_trust


def test_the_front_page_names_the_tasks_that_one_may_see(visiting: Visiting) -> None:
    assert re.findall(r'<a href="/tasks/(\w+)">', visiting().look("/")) == ["sax"]
    assert re.findall(r'<a href="/tasks/(\w+)">', visiting("vi").look("/")) == ["sax", "closed"]


def test_the_intro_tells_each_tag_and_plays_examples(visiting: Visiting) -> None:
    page = visiting().look("/tasks/sax")
    assert "Any saxophone." in page
    assert page.count("/api/v1/tasks/sax/clips/1/audio.wav") == 2  # one gold clip, an example of each tag
    assert "No account is needed." in page


def test_the_labeller_offers_every_answer_and_unsure_once_for_each_tag(visiting: Visiting) -> None:
    page = visiting("bo").look("/tasks/sax/label")
    assert re.findall(r'data-tag="(\w+)"', page) == ["sax", "vocals"]
    assert (
        re.findall(r'value="(foreground|background|absent|unsure)"', page)
        == [
            *("foreground", "background", "absent", "unsure"),
        ]
        * 2
    )


def test_names_are_shown_as_they_were_written(visiting: Visiting, catalog: Catalog) -> None:
    new_task(catalog, "t", ["sax"], instructions="<b>loud</b> & clear", help={"sax": '"<i>'}, open=True)
    page = visiting().look("/tasks/t")
    assert "&lt;b&gt;loud&lt;/b&gt; &amp; clear" in page
    assert "&#34;&lt;i&gt;" in page


def test_ones_own_progress(visiting: Visiting, catalog: Catalog) -> None:
    bo = find_person(catalog, "bo").id
    for _ in range(3):
        submit(catalog, next_clips(catalog, "sax", bo)[0].token, LABEL)
    found = numbers_of(catalog, 1, bo)
    assert (found.labels, found.today, found.skips, found.unusable) == (3, 3, 0, 0)
    assert [count for _, count in found.days] == [3]
    assert labels_by_day(catalog, 1) == list(found.days)
    assert re.findall(r"<dt>labelled</dt><dd>(\d+)</dd>", visiting("bo").look("/me")) == ["3", "0"]


def test_an_admin_settles_a_dispute(visiting: Visiting, catalog: Catalog) -> None:
    make_dispute(catalog)
    assert [one.clip.clip_id for one in disputes(catalog, "two")] == [2]
    ada = visiting("ada")
    page = ada.look("/admin/tasks/two/disputes")
    assert re.search(r"bo: present · ada: absent", page)
    assert visiting("bo").form("/admin/tasks/two/disputes/2", **{"value:sax": "absent"}).status_code == 403
    assert ada.form("/admin/tasks/two/disputes/2", **{"value:sax": "maybe"}).status_code == 422
    assert ada.form("/admin/tasks/two/disputes/2", **{"value:sax": "absent"}).status_code == 303
    assert disputes(catalog, "two") == []
    assert "Nobody disagrees" in ada.look("/admin/tasks/two/disputes")
    assert log(catalog, 1)[0]["what"] == "clip settled"
    assert gold_of(catalog, "two").clips == 0
    assert "two" in (page := ada.look("/admin"))
    assert "duplicates" not in page
    assert "100 %" in ada.look("/admin/tasks/two")
    with catalog.write() as connection:
        connection.execute(sa.insert(Duplicate).values(uri="again.wav", recording_id=1, added_at=1))
    assert re.search(r"<dt>duplicates</dt><dd>1\b", ada.look("/admin"))


def test_what_is_settled_can_be_a_known_answer(visiting: Visiting, catalog: Catalog) -> None:
    make_dispute(catalog)
    task = get_task(catalog, "two")
    change_task(catalog, "two", Wanted(task.tags, task.scale, {}, "", 2, "random", 0.1, 600.0, open=True))
    ada = visiting("ada")
    lack = "to be shown 10 % of the time, and no clip has one"
    assert lack in ada.look("/admin/tasks/two")
    assert 'name="gold"' in ada.look("/admin/tasks/two/disputes")
    assert ada.form("/admin/tasks/two/disputes/2", **{"value:sax": "absent", "gold": "yes"}).status_code == 303
    assert log(catalog, 1)[0]["detail"] == {"task": "two", "clip": 2, "gold": True}
    assert gold_of(catalog, "two").clips == 1
    assert lack not in ada.look("/admin/tasks/two")
    with catalog.read() as connection:
        assert wrongs(connection, task) == []


def test_disputes_are_shown_page_by_page(visiting: Visiting, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.web.admin.DISPUTES", 1)
    new_task(catalog, "two", ["sax"], overlap=2)
    add_clips_to_task(catalog, "two", [2, 3])
    for person, value in (("bo", "present"), ("ada", "absent")):
        for held in next_clips(catalog, "two", find_person(catalog, person).id, 2):
            submit(catalog, held.token, {"sax": value})
    ada = visiting("ada")
    pages = [ada.look(f"/admin/tasks/two/disputes?page={page}") for page in (1, 2, 3)]
    assert [re.findall(r'aria-labelledby="clip(\d)"', page) for page in pages] == [["2"], ["3"], []]
    assert ["2 clips, the least certain first" in page for page in pages] == [True, True, True]
    assert [re.findall(r'rel="(\w+)" href="\?page=(\d)"', page) for page in pages] == [
        *([("next", "2")], [("prev", "1")], [("prev", "2")])
    ]
    assert ada.client.get("/admin/tasks/two/disputes?page=0").status_code == 422


def test_the_tasks_page_tells_what_changed_who_is_set_aside_and_what_could_be_asked_again(
    visiting: Visiting, catalog: Catalog
) -> None:
    ada = visiting("ada")
    make_dispute(catalog)
    assert not re.search(r"set aside|how much it changed", ada.look("/admin/tasks/two"))
    assert ada.form("/admin/tasks/two/report").status_code == 303
    add_clips_to_task(catalog, "two", [4])
    held = next_clips(catalog, "two", find_person(catalog, "bo").id)[0]
    submit(catalog, held.token, {"sax": "absent"})
    set_trust(catalog, "two", find_person(catalog, "ada").id, "aside")
    page = re.sub(r"<[^>]+>|\s+", " ", ada.look("/admin/tasks/two"))
    page = re.sub(r" +", " ", page)
    assert "clips 3 +1" in page
    assert "labelled 3 +1" in page
    assert "sax 3 2 +1 0" in page  # present, absent, unsure
    assert re.search(r"bo 3 \+1 0 0 [^ ]+ \d{4}-\d\d-\d\d counts", page)
    assert re.search(r"ada 2 0 0 [^ ]+ \d{4}-\d\d-\d\d set aside , by hand", page)
    assert "take 2 places" in page
    assert "earmark catalog queue two --reopen" in page
    assert visiting("bo").form("/admin/tasks/two/report").status_code == 403


def test_a_chart_of_nothing_is_a_sentence(visiting: Visiting, catalog: Catalog) -> None:
    ada = visiting("ada")
    page = ada.look("/admin/tasks/sax")
    assert "Nobody has labelled here in the last 30 days" in page
    assert '<figure class="bars">' not in page
    submit(catalog, next_clips(catalog, "sax", find_person(catalog, "bo").id)[0].token, LABEL)
    page = ada.look("/admin/tasks/sax")
    assert "Nobody has labelled" not in page
    assert '<figure class="bars">' in page
