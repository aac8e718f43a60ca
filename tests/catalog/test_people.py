from __future__ import annotations

import threading
from typing import get_args

import pytest
import sqlalchemy as sa

from earmark.catalog.database import Catalog
from earmark.catalog.people import (
    Role,
    accept_invite,
    add_person,
    admin_link,
    end_session,
    find_person,
    invite,
    list_invites,
    list_people,
    log,
    log_in,
    person_of_session,
    revoke_invite,
    revoke_sessions,
    set_active,
    set_password,
    set_role,
)
from earmark.catalog.tables import Base
from earmark.errors import CatalogError, ConflictError, NotAllowedError, NotFoundError

GOOD = "a long enough one"
DAY = 86400 * 1_000_000


def test_a_password_lets_in_and_a_wrong_one_is_told_like_a_wrong_name(catalog: Catalog):
    ann = add_person(catalog, " ann  lee ", password=GOOD)
    assert ann.name == "ann lee"
    assert person_of_session(catalog, log_in(catalog, "ann lee", GOOD)) == ann
    said = set()
    for name, password in (("ann lee", GOOD + "x"), ("nobody", GOOD), ("ann lee", ""), ("ann lee", "x" * 5000)):
        with pytest.raises(NotAllowedError) as refused:
            log_in(catalog, name, password)
        said.add(str(refused.value))
    assert said == {"this name and password do not belong together."}
    assert [entry["what"] for entry in log(catalog)[:4]] == ["login refused"] * 4


def test_somebody_without_a_password_cannot_log_in_by_an_empty_one(catalog: Catalog):
    add_person(catalog, "ann")
    with pytest.raises(NotAllowedError, match=r"do not belong together"):
        log_in(catalog, "ann", "")


def test_no_secret_is_kept(catalog: Catalog):
    add_person(catalog, "ann", password=GOOD)
    secrets = [GOOD, log_in(catalog, "ann", GOOD), invite(catalog)]
    with catalog.read() as connection:
        kept = " ".join(
            str(row) for table in Base.metadata.sorted_tables for row in connection.execute(sa.select(table))
        )
    assert "$argon2id$" in kept
    assert [secret for secret in secrets if secret in kept] == []


def test_a_session_ends_by_time_by_logging_out_and_by_revoking(catalog: Catalog):
    ann = add_person(catalog, "ann", password=GOOD)
    first, second, third = (log_in(catalog, "ann", GOOD, now=0) for _ in range(3))
    assert person_of_session(catalog, first, now=29 * DAY).id == ann.id
    with pytest.raises(NotAllowedError, match=r"this session is over: log in again"):
        person_of_session(catalog, first, now=31 * DAY)
    end_session(catalog, first)
    assert person_of_session(catalog, second, now=1).id == ann.id
    assert revoke_sessions(catalog, ann.id) == 2
    for secret in (first, second, third, "forged"):
        with pytest.raises(NotAllowedError, match=r"this session is over"):
            person_of_session(catalog, secret, now=1)


def test_a_new_password_and_being_shut_out_end_all_sessions(catalog: Catalog):
    ann = add_person(catalog, "ann", password=GOOD)
    secret = log_in(catalog, "ann", GOOD)
    set_password(catalog, ann.id, GOOD + "2")
    with pytest.raises(NotAllowedError):
        person_of_session(catalog, secret)
    secret = log_in(catalog, "ann", GOOD + "2")
    set_active(catalog, ann.id, False)
    with pytest.raises(NotAllowedError):
        person_of_session(catalog, secret)
    with pytest.raises(NotAllowedError):
        log_in(catalog, "ann", GOOD + "2")
    set_active(catalog, ann.id, True)
    assert person_of_session(catalog, log_in(catalog, "ann", GOOD + "2")).id == ann.id


def test_an_invite_lets_as_many_in_as_it_says(catalog: Catalog):
    secret = invite(catalog, "annotator", uses=2, note="class of 26", now=0)
    ann, session = accept_invite(catalog, secret, "ann", now=1)
    assert (ann.role, person_of_session(catalog, session, now=2).name) == ("annotator", "ann")
    with pytest.raises(ConflictError, match=r"somebody is called 'ann' already"):
        accept_invite(catalog, secret, "ann", now=1)
    accept_invite(catalog, secret, "bob", password=GOOD, now=1)
    with pytest.raises(NotAllowedError, match=r"this link is no longer good"):
        accept_invite(catalog, secret, "eve", now=1)
    assert [(one.note, one.uses_left) for one in list_invites(catalog)] == [("class of 26", 0)]
    assert person_of_session(catalog, log_in(catalog, "bob", GOOD)).name == "bob"


def test_an_invite_ends_by_time_and_by_revoking(catalog: Catalog):
    late, revoked = invite(catalog, seconds=3600, now=0), invite(catalog, now=0)
    revoke_invite(catalog, list_invites(catalog)[0].id)
    for secret, now in ((late, DAY), (revoked, 1), ("forged", 1)):
        with pytest.raises(NotAllowedError, match=r"this link is no longer good"):
            accept_invite(catalog, secret, "eve", now=now)
    with pytest.raises(NotFoundError, match=r"invite 99"):
        revoke_invite(catalog, 99)


def test_one_use_of_an_invite_lets_one_of_many_in(catalog: Catalog):
    secret = invite(catalog)
    came: list[str] = []

    def come(name: str) -> None:
        try:
            came.append(accept_invite(catalog, secret, name)[0].name)
        except NotAllowedError:
            return

    threads = [threading.Thread(target=come, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == 1
    assert [person.name for person in list_people(catalog)] == came


def test_the_first_admin_comes_by_a_one_time_link_and_the_newest_is_good(catalog: Catalog):
    old = admin_link(catalog)
    new = admin_link(catalog)
    assert old is not None
    assert new is not None
    with pytest.raises(NotAllowedError):
        accept_invite(catalog, old, "eve")
    admin, _ = accept_invite(catalog, new, "admin", password=GOOD)
    assert admin.role == "admin"
    assert admin_link(catalog) is None
    with pytest.raises(NotAllowedError):
        accept_invite(catalog, new, "eve")


def test_the_last_admin_stays(catalog: Catalog):
    first, second = add_person(catalog, "a", "admin"), add_person(catalog, "b", "admin")
    set_role(catalog, first.id, "viewer", by=second.id)
    assert find_person(catalog, "a").role == "viewer"
    with pytest.raises(ConflictError, match=r"this is the only admin"):
        set_role(catalog, second.id, "annotator")
    with pytest.raises(ConflictError, match=r"this is the only admin"):
        set_active(catalog, second.id, False)
    assert [(entry["who"], entry["what"]) for entry in log(catalog, 1)] == [("b", "role changed")]


@pytest.mark.parametrize(("role", "may"), [("admin", 3), ("annotator", 2), ("viewer", 1)])
def test_a_role_may_what_the_roles_below_it_may(catalog: Catalog, role: Role, may: int):
    person = add_person(catalog, "a", role)
    allowed = 0
    for wanted in get_args(Role):
        try:
            person.require(wanted)
        except NotAllowedError:
            continue
        allowed += 1
    assert allowed == may


def test_what_cannot_be_is_refused_in_one_sentence(catalog: Catalog):
    add_person(catalog, "ann")
    with pytest.raises(ConflictError, match=r"somebody is called 'ann' already"):
        add_person(catalog, "ann")
    with pytest.raises(CatalogError, match=r"a password of 5 characters: expected 10 to 1024"):
        add_person(catalog, "b", password="short")
    with pytest.raises(CatalogError, match=r"role 'boss': expected one of admin, annotator, viewer"):
        add_person(catalog, "b", "boss")
    for name in ("", "  ", "x" * 81, "a\x00b"):
        with pytest.raises(CatalogError, match=r"expected 1 to 80 printable characters"):
            add_person(catalog, name)
    with pytest.raises(CatalogError, match=r"for 0 people"):
        invite(catalog, uses=0)
    with pytest.raises(CatalogError, match=r"expected a minute to a year"):
        invite(catalog, seconds=1)
    with pytest.raises(NotFoundError, match=r"there is nobody of this name"):
        find_person(catalog, "eve")
    with pytest.raises(NotFoundError, match=r"person 99"):
        set_role(catalog, 99, "viewer")
