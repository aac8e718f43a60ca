"""Who may: sessions, forms of other sites, roles, guests, limits, and what every answer says to the browser."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from web_labels import LABEL, Visiting, labels

from earmark.catalog import people
from earmark.catalog.database import Catalog
from earmark.web.site import SESSION_COOKIE


def test_every_answer_keeps_the_page_to_itself(visiting: Visiting) -> None:
    bo = visiting("bo")
    for path in ("/", "/nope", "/api/v1/tasks", "/api/v1/nope", "/static/label.js", "/tasks/sax/label"):
        headers = bo.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/tasks/sax", "/tasks/sax/label", "/me", "/admin", "/admin/people"])
def test_no_page_holds_script_or_style_of_its_own(visiting: Visiting, path: str) -> None:
    page = visiting("ada").look(path)
    assert re.findall(r"<script(?![^>]* src=)|<style|style=|\son\w+=", page) == []


def test_what_changes_anything_needs_the_token_of_its_page(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    token = bo.post("sax/next", n=1).json()["clips"][0]["token"]
    good = bo.csrf
    for bad in ("", "0" * 64, visiting("ada").csrf):
        bo.csrf = bad
        assert bo.post("sax/submit", token=token, values=LABEL).status_code == 403
        assert bo.form("/logout").status_code == 403
    assert labels(catalog, "sax") == []
    bo.csrf = good
    assert bo.post("sax/submit", token=token, values=LABEL).status_code == 200
    assert bo.form("/logout").status_code == 303
    assert bo.post("sax/next", n=1).status_code in (401, 403)


@pytest.mark.parametrize("forge", ["x", "x.y", ".", "é" * 9, "{secret}.{zeros}", "{secret}"])
def test_a_forged_cookie_is_as_none_and_is_noted(
    visiting: Visiting, catalog: Catalog, caplog: pytest.LogCaptureFixture, forge: str
) -> None:
    visitor = visiting()
    cookie = forge.format(secret=people.start_session(catalog, 1), zeros="0" * 64)
    with caplog.at_level(logging.INFO, "earmark"):
        headers = {"Cookie": f"{SESSION_COOKIE}={cookie}".encode()}
        answer = visitor.client.get("/api/v1/tasks/closed", headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")
    assert "a session cookie that is not ours" in caplog.text


def test_a_session_that_is_revoked_ends_at_once(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    assert bo.client.get("/me").status_code == 200
    people.revoke_sessions(catalog, people.find_person(catalog, "bo").id)
    assert bo.post("sax/next", n=1).status_code == 401
    assert bo.client.get("/me", follow_redirects=False).headers["location"] == "/login?next=/me"


def test_a_wrong_login_says_nothing_of_who_there_is(visiting: Visiting, catalog: Catalog) -> None:
    visitor = visiting()
    pages = [visitor.form("/login", name=name, password="wrong words") for name in ("ada", "nobody")]
    assert [page.status_code for page in pages] == [401, 401]
    texts = [re.findall(r'role="alert">(.*?)<', page.text) for page in pages]
    assert texts[0] == texts[1] == ["This name and password do not belong together."]
    assert [entry["what"] for entry in people.log(catalog, 2)] == ["login refused", "login refused"]
    assert visitor.form("/login", name="ada", password="correct horse", next="/admin").headers["location"] == "/admin"
    assert "Admin" in visitor.look("/admin")


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""])
def test_a_login_leads_to_this_site_only(visiting: Visiting, to: str) -> None:
    answer = visiting().form("/login", name="ada", password="correct horse", next=to)
    assert answer.headers["location"] == "/"


def test_logins_are_limited(visiting: Visiting) -> None:
    visitor = visiting(logins_a_minute=3)
    answers = [visitor.form("/login", name="ada", password="wrong words") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20


def test_answers_are_limited(visiting: Visiting) -> None:
    bo = visiting("bo", writes_a_minute=2)
    assert [bo.post("sax/next", n=1).status_code for _ in range(3)] == [200, 200, 429]


def test_sounds_are_limited_for_who_keeps_no_cookie(visiting: Visiting) -> None:
    visitor = visiting(media_a_minute=2)
    answers = []
    for _ in range(6):
        visitor.client.cookies.clear()
        answers.append(visitor.client.get("/api/v1/tasks/sax/clips/1/peaks.json").status_code)
    assert answers == [200, 200, 429, 429, 429, 429]
    buckets = visitor.client.app.state.site.limits._buckets["sounds and pictures"]
    assert list(buckets) == ["testclient"]  # the address, not a secret drawn anew each time


def test_sounds_are_limited_for_each_person_who_is_logged_in(visiting: Visiting) -> None:
    """Two people behind one address do not take each other's."""
    bo = visiting("bo", media_a_minute=2)
    path = "/api/v1/tasks/sax/clips/1/peaks.json"
    assert [bo.client.get(path).status_code for _ in range(3)] == [200, 200, 429]
    bo.client.cookies.clear()
    assert bo.client.get(path).status_code == 200


def test_anyone_may_help_where_the_task_says_so_and_nowhere_else(visiting: Visiting, catalog: Catalog) -> None:
    guest = visiting()
    assert guest.client.get("/api/v1/tasks/closed").status_code == 401
    assert guest.form("/tasks/closed/help").status_code in (401, 303)
    assert guest.form("/tasks/sax/help").headers["location"] == "/tasks/sax/label"
    guest.look("/tasks/sax/label")
    token = guest.post("sax/next", n=1).json()["clips"][0]["token"]
    assert guest.post("sax/submit", token=token, values=LABEL).status_code == 200
    assert guest.post("closed/next", n=1).status_code == 403
    assert people.list_people(catalog)[-1].kind == "guest"
    assert visiting(anyone=True).client.get("/api/v1/tasks/closed").status_code == 200


def test_guests_are_limited(visiting: Visiting) -> None:
    visitor = visiting(guests_an_hour=2)
    for _ in range(2):
        assert visitor.form("/tasks/sax/help").status_code == 303
        visitor.client.cookies.clear()
        visitor.look()
    assert visitor.form("/tasks/sax/help").status_code == 429


def test_a_viewer_looks_and_does_not_label(visiting: Visiting) -> None:
    viewer = visiting("vi")
    assert viewer.client.get("/api/v1/tasks/closed").status_code == 200
    assert viewer.post("closed/next", n=1).status_code == 403
    page = viewer.look("/admin/tasks/closed")
    assert "<h2>People</h2>" in page
    assert re.findall(r'<form method="post" action="(.+?)"', page) == ["/logout"]
    assert re.findall(r'href="(/admin.*?)"', page + viewer.look("/admin")) == [
        *["/admin"] * 3,
        *("/admin/tasks/sax", "/admin/tasks/closed"),
    ]


# nobody, a guest, a viewer, an annotator, an admin
FIGURES, ADMINS = (303, 403, 200, 200, 200), (303, 403, 403, 403, 200)


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/admin", FIGURES),
        ("/admin/tasks/sax", FIGURES),
        ("/admin/tasks/closed", FIGURES),
        ("/api/v1/status", (401, 403, 200, 200, 200)),
        ("/api/v1/status?task=sax", (401, 403, 200, 200, 200)),
        ("/admin/people", ADMINS),
        ("/admin/new-task", ADMINS),
        ("/admin/tasks/sax/edit", ADMINS),
        ("/admin/tasks/sax/disputes", ADMINS),
        ("/me", (303, 200, 200, 200, 200)),
        ("/tasks/sax/label", (303, 200, 403, 200, 200)),
        ("/tasks/sax", (200, 200, 200, 200, 200)),
        ("/tasks/closed", (303, 403, 200, 200, 200)),
    ],
)
def test_who_sees_what(everybody: list[Any], path: str, answers: tuple[int, ...]) -> None:
    found = [visitor.client.get(path, follow_redirects=False).status_code for visitor in everybody]
    assert tuple(found) == answers


@pytest.mark.parametrize(
    "path",
    [
        *("/admin/invites", "/admin/invites/1/revoke", "/admin/sessions/1/revoke", "/admin/people/1/role"),
        *("/admin/people/1/active", "/admin/tasks/sax/disputes/1", "/admin/new-task", "/admin/tasks/sax/edit"),
        *("/admin/tasks/sax/refresh", "/admin/tasks/sax/report"),
    ],
)
def test_admins_alone_change_anything(everybody: list[Any], path: str) -> None:
    fields = {"role": "viewer", "active": "true"}
    found = [visitor.form(path, **fields).status_code for visitor in everybody[:-1]]
    assert found == [401, 403, 403, 403]


@pytest.fixture
def everybody(visiting: Visiting) -> list[Any]:
    guest = visiting()
    guest.form("/tasks/sax/help")
    guest.look()
    return [visiting(), guest, *map(visiting, ("vi", "bo", "ada"))]


def test_an_invite_lets_one_person_in_and_admins_revoke(visiting: Visiting, catalog: Catalog) -> None:
    ada, newcomer = visiting("ada"), visiting()
    ada.look("/admin/people")
    page = ada.form("/admin/invites", role="annotator", uses="1", days="2", note="for di").text
    link = re.findall(r"http://127.0.0.1(/invite/[\w-]+)", page)[0]
    newcomer.look(link)
    assert newcomer.form(link, name="ada").status_code == 409  # the name is taken, the link is still good
    assert newcomer.form(link, name="di", password="short").status_code == 422
    assert newcomer.form(link, name="di").status_code == 303
    assert "di" in newcomer.look("/me")
    assert visiting().form(link, name="ed").status_code == 403
    session = re.findall(r"/admin/sessions/(\d+)/revoke", ada.look("/admin/people"))[0]  # the newest
    assert ada.form(f"/admin/sessions/{session}/revoke").status_code == 303
    assert newcomer.post("sax/next", n=1).status_code == 401
    assert {"session revoked", "invite refused"} <= {entry["what"] for entry in people.log(catalog)}
    shown = re.sub(r"<[^>]+>|\s+", " ", ada.look("/admin/people"))
    assert re.search(r"session revoked +session \d+", shown)
    assert re.search(r"invite refused +name ed ", shown)


def test_the_first_admins_link_works_once(visiting: Visiting, catalog: Catalog) -> None:
    with catalog.write() as connection:  # as if nobody had come in yet: the last admin cannot be shut out
        connection.exec_driver_sql("UPDATE annotator SET role = 'viewer'")
    link = f"/invite/{people.admin_link(catalog)}"
    first = visiting()
    assert first.form(link, name="eve", password="a long password").headers["location"] == "/admin"
    assert "<h1>Admin</h1>" in first.look("/admin")
    assert visiting().form(link, name="mallory").status_code == 403
    assert people.admin_link(catalog) is None


def test_a_body_that_is_too_large_is_not_read(visiting: Visiting) -> None:
    bo = visiting("bo")
    headers = {"X-CSRF-Token": bo.csrf, "Content-Type": "application/json"}
    two_gb = {**headers, "Content-Length": "2000000000"}
    claimed = bo.client.post("/api/v1/tasks/sax/submit", content=b"{}", headers=two_gb)
    assert (claimed.status_code, claimed.headers["content-type"]) == (413, "application/problem+json")
    unclaimed = (b"x" * 65536 for _ in range(40))
    streamed = bo.client.post("/api/v1/tasks/sax/submit", content=unclaimed, headers=headers)
    assert streamed.status_code == 413


def test_a_server_on_loopback_answers_to_no_other_name(visiting: Visiting) -> None:
    bo = visiting("bo")
    assert bo.client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert bo.client.get("/", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_method_or_page_that_is_not_there(visiting: Visiting) -> None:
    bo = visiting("bo")
    assert bo.client.get("/api/v1/tasks/sax/submit").status_code == 405
    assert bo.client.get("/api/v1/tasks/nope").json()["status"] == 404
    assert "<h1>Not Found</h1>" in bo.client.get("/nope").text
