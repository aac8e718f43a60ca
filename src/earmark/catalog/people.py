"""Who may do what: people and their roles, passwords, invite links, sessions.

Of passwords, links and cookies only hashes are kept (`earmark.catalog.hashing`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.auditing import audit as audit
from earmark.catalog.auditing import log as log
from earmark.catalog.auditing import record
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.hashing import digest, hash_again, hash_password, verify_password
from earmark.catalog.tables import Annotator, Invite, Session
from earmark.errors import CatalogError, ConflictError, NotAllowedError, NotFoundError

T = TypeVar("T")

Role: TypeAlias = Literal["admin", "annotator", "viewer"]
"""viewer: sees pages and figures; annotator: labels too; admin: settles disputes, invites, changes tasks too."""

ROLES: tuple[Role, ...] = get_args(Role)
SESSION_S = 30 * 86400.0
INVITE_S = 14 * 86400.0
ADMIN_LINK_S = 86400.0
_FIRST = "first admin"
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,80}")


@dataclass(frozen=True, slots=True)
class Person:
    """Attributes as of `earmark.catalog.tables.Annotator`; has_password: whether they can log in by one."""

    id: int
    name: str
    role: Role
    kind: str
    active: bool
    has_password: bool
    created_at: int

    def require(self, role: Role) -> None:
        """NotAllowedError unless this person may do what `role` may."""
        if not self.active:
            raise NotAllowedError(f"{self.name!r} is no longer let in: ask an admin.")
        if ROLES.index(self.role) > ROLES.index(role):
            raise NotAllowedError(f"this needs the role {role}, and {self.name!r} is {self.role}: ask an admin.")


@dataclass(frozen=True, slots=True)
class InviteInfo:
    """An invite as it stands; its secret is not kept."""

    id: int
    role: Role
    note: str
    uses_left: int
    created_at: int
    expires_at: int
    revoked: bool


def add_person(
    catalog: Catalog, name: str, role: Role = "annotator", *, password: str | None = None, by: int | None = None
) -> Person:
    """Somebody new.

    Raises:
        ConflictError: the name is taken. CatalogError: a name, role or password that cannot be.
    """
    _check_role(role)
    hashed = None if password is None else hash_password(password)
    shown = _checked_name(name)

    def work(connection: Connection) -> Person:
        found = _insert(connection, shown, role, hashed)
        record(connection, by, "person added", {"person": found, "name": shown, "role": role})
        return _person(connection, Annotator.id == found)

    return _named(catalog, work, shown)


def _insert(connection: Connection, name: str, role: str, password_hash: str | None, kind: str = "person") -> int:
    values = {"name": name, "role": role, "kind": kind, "password_hash": password_hash, "created_at": now_us()}
    return int(connection.execute(sa.insert(Annotator).values(**values).returning(Annotator.id)).scalar_one())


def _named(catalog: Catalog, work: Callable[[Connection], T], name: str) -> T:
    try:
        return catalog.run(work)
    except sa.exc.IntegrityError:
        raise ConflictError(f"somebody is called {name!r} already: choose another name.") from None


def _checked_name(name: str) -> str:
    shown = " ".join(name.split())
    if not _NAME.fullmatch(shown):
        raise CatalogError(f"name {name!r}: expected 1 to 80 printable characters.")
    return shown


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise CatalogError(f"role {role!r}: expected one of {', '.join(ROLES)}.")


def add_guest(catalog: Catalog, *, now: int | None = None) -> tuple[Person, str]:
    """Somebody who helps without an invite, under a drawn name; gives who one is now, and the secret of the session."""
    at = now_us() if now is None else now

    def work(connection: Connection) -> tuple[Person, str]:
        found = _insert(connection, f"guest {secrets.token_hex(4)}", "annotator", None, kind="guest")
        return _person(connection, Annotator.id == found), _start_session(connection, found, SESSION_S, at)

    return catalog.run(work)


def find_person(catalog: Catalog, person: int | str) -> Person:
    """Somebody by row or name; NotFoundError where there is nobody."""
    with catalog.read() as connection:
        return _person(connection, Annotator.id == person if isinstance(person, int) else Annotator.name == person)


def _person(connection: Connection, condition: sa.ColumnElement[bool]) -> Person:
    row = connection.execute(sa.select(Annotator.__table__).where(condition)).one_or_none()
    if row is None:
        raise NotFoundError("there is nobody of this name: `earmark catalog people list` names all.")
    return person_of(row._mapping)


def person_of(columns: sa.RowMapping, prefix: str = "") -> Person:
    """Of a row of `Annotator`, the names of whose columns begin with `prefix`."""
    same = {name: columns[prefix + name] for name in ("id", "name", "role", "kind", "active", "created_at")}
    return Person(**same, has_password=columns[f"{prefix}password_hash"] is not None)


def list_people(catalog: Catalog) -> list[Person]:
    """Everybody, those who came first at the head."""
    query = sa.select(Annotator.__table__).order_by(Annotator.id)
    with catalog.read() as connection:
        return [person_of(row._mapping) for row in connection.execute(query)]


def set_role(catalog: Catalog, person_id: int, role: Role, *, by: int | None = None) -> None:
    """Change what somebody may do. The last admin stays one (ConflictError)."""
    _check_role(role)
    _change(catalog, person_id, {"role": role}, by, "role changed", {"role": role}, keeps_admin=role == "admin")


def set_active(catalog: Catalog, person_id: int, active: bool, *, by: int | None = None) -> None:
    """Let somebody in no longer, or again; their labels stay. Their sessions end."""
    words = "let in again" if active else "shut out"
    _change(catalog, person_id, {"active": active}, by, words, {}, keeps_admin=active)
    if not active:
        revoke_sessions(catalog, person_id, by=by)


def set_password(catalog: Catalog, person_id: int, password: str, *, by: int | None = None) -> None:
    """A new password; all sessions of this person end."""
    _change(
        catalog, person_id, {"password_hash": hash_password(password)}, by, "password changed", {}, keeps_admin=True
    )
    revoke_sessions(catalog, person_id, by=by)


def _change(
    catalog: Catalog,
    person_id: int,
    values: Mapping[str, Any],
    by: int | None,
    what: str,
    detail: Mapping[str, Any],
    *,
    keeps_admin: bool,
) -> None:
    def work(connection: Connection) -> None:
        # every admin's row, in one order, so that two admins cannot both cease to be the last but one
        admins = sa.select(Annotator.id).where(Annotator.role == "admin", Annotator.active).order_by(Annotator.id)
        ids = list(connection.execute(admins.with_for_update()).scalars())
        if not keeps_admin and ids == [person_id]:
            raise ConflictError("this is the only admin: make somebody else one first.")
        changed = connection.execute(sa.update(Annotator).where(Annotator.id == person_id).values(**values))
        if changed.rowcount == 0:
            raise NotFoundError(f"person {person_id}: there is nobody of this number.")
        record(connection, by, what, {"person": person_id, **detail})

    catalog.run(work)


def log_in(catalog: Catalog, name: str, password: str, *, now: int | None = None) -> str:
    """The secret of a new session; it is kept nowhere.

    Raises:
        NotAllowedError: in the same words, and after the same work, whether the name or the password is wrong.
    """
    with catalog.read() as connection:
        query = sa.select(Annotator.__table__).where(Annotator.name == " ".join(name.split()))
        row = connection.execute(query).one_or_none()
    right = verify_password(row.password_hash if row is not None else None, password)
    if row is None or not right or not row.active:
        audit(catalog, None, "login refused", {"name": name[:80]})
        raise NotAllowedError("this name and password do not belong together.")
    hashed = hash_again(row.password_hash, password)
    if hashed is not None:
        with catalog.write() as connection:
            connection.execute(sa.update(Annotator).where(Annotator.id == row.id).values(password_hash=hashed))
    return start_session(catalog, row.id, now=now)


def start_session(catalog: Catalog, person_id: int, *, seconds: float = SESSION_S, now: int | None = None) -> str:
    """A session for somebody who has shown who they are; gives its secret, which is kept nowhere."""
    at = now_us() if now is None else now
    return catalog.run(lambda connection: _start_session(connection, person_id, seconds, at))


def _start_session(connection: Connection, person_id: int, seconds: float, at: int) -> str:
    secret = secrets.token_urlsafe(32)
    values = {"token_hash": digest(secret), "annotator_id": person_id, "created_at": at}
    connection.execute(sa.insert(Session).values(**values, expires_at=at + round(seconds * 1e6)))
    record(connection, person_id, "session began", {})
    return secret


def person_of_session(catalog: Catalog, secret: str, *, now: int | None = None) -> Person:
    """Whose session this is; NotAllowedError where it is unknown, over or revoked, or the person is shut out."""
    with catalog.look() as connection:
        found = find_session(connection, secret, now_us() if now is None else now)
    if found is None:
        raise NotAllowedError("this session is over: log in again.")
    return found


OF_SESSION = (
    sa.select(Annotator.__table__)
    .join(Session, Session.annotator_id == Annotator.id)
    .where(Session.token_hash == sa.bindparam("of_hash"), Session.revoked_at.is_(None))
    .where(Session.expires_at > sa.bindparam("now", type_=sa.BigInteger))
)


def find_session(connection: Connection, secret: str, now: int) -> Person | None:
    """Whose session this is; None where it is unknown, over or revoked, or the person is shut out."""
    row = connection.execute(OF_SESSION, {"of_hash": digest(secret), "now": now}).one_or_none()
    return person_of(row._mapping) if row is not None and row.active else None


def end_session(catalog: Catalog, secret: str) -> None:
    """Log out; a session that is over is left as it is."""

    def work(connection: Connection) -> None:
        over = sa.update(Session).where(Session.token_hash == digest(secret), Session.revoked_at.is_(None))
        who = connection.execute(over.values(revoked_at=now_us()).returning(Session.annotator_id)).scalar_one_or_none()
        if who is not None:
            record(connection, who, "logged out", {})

    catalog.run(work)


def revoke_session(catalog: Catalog, session_id: int, *, by: int | None = None) -> None:
    """End one session; NotFoundError where there is none of this number."""

    def work(connection: Connection) -> None:
        over = sa.update(Session).where(Session.id == session_id).values(revoked_at=now_us())
        if connection.execute(over).rowcount == 0:
            raise NotFoundError(f"session {session_id}: there is none of this number.")
        record(connection, by, "session revoked", {"session": session_id})

    catalog.run(work)


def revoke_sessions(catalog: Catalog, person_id: int, *, by: int | None = None) -> int:
    """End all sessions of somebody; gives how many."""

    def work(connection: Connection) -> int:
        over = sa.update(Session).where(Session.annotator_id == person_id, Session.revoked_at.is_(None))
        ended = connection.execute(over.values(revoked_at=now_us())).rowcount
        record(connection, by, "sessions revoked", {"person": person_id, "sessions": ended})
        return ended

    return catalog.run(work)


def invite(
    catalog: Catalog,
    role: Role = "annotator",
    *,
    uses: int = 1,
    seconds: float = INVITE_S,
    note: str = "",
    by: int | None = None,
    now: int | None = None,
) -> str:
    """The secret of a link that lets `uses` people in; it is kept nowhere, so show it at once.

    Raises:
        CatalogError: a role, number or time that cannot be.
    """
    _check_role(role)
    if not 1 <= uses <= 10_000:
        raise CatalogError(f"an invite for {uses} people: expected 1 to 10000.")
    if not 60 <= seconds <= 366 * 86400:
        raise CatalogError(f"an invite that lasts {seconds:g} s: expected a minute to a year.")
    at = now_us() if now is None else now
    secret = secrets.token_urlsafe(32)

    def work(connection: Connection) -> None:
        values = {"token_hash": digest(secret), "role": role, "note": note[:200], "uses_left": uses, "created_by": by}
        until = at + round(seconds * 1e6)
        insert = sa.insert(Invite).values(**values, created_at=at, expires_at=until).returning(Invite.id)
        made = connection.execute(insert).scalar_one()
        record(connection, by, "invite made", {"invite": made, "role": role, "uses": uses})

    catalog.run(work)
    return secret


def admin_link(catalog: Catalog, *, now: int | None = None) -> str | None:
    """The secret of a one-time link for the first admin; None where there is an admin already.

    Links of this kind that were made before end, so that only the newest is good.
    """
    with catalog.read() as connection:
        query = sa.select(Annotator.id).where(Annotator.role == "admin", Annotator.active).limit(1)
        if connection.execute(query).first() is not None:
            return None
    with catalog.write() as connection:
        old = sa.update(Invite).where(Invite.note == _FIRST, Invite.role == "admin", Invite.revoked_at.is_(None))
        connection.execute(old.values(revoked_at=now_us()))
    return invite(catalog, "admin", seconds=ADMIN_LINK_S, note=_FIRST, now=now)


def list_invites(catalog: Catalog) -> list[InviteInfo]:
    """All invites, the newest first."""
    with catalog.read() as connection:
        rows = connection.execute(sa.select(Invite.__table__).order_by(Invite.id.desc()))
        return [
            InviteInfo(r.id, r.role, r.note, r.uses_left, r.created_at, r.expires_at, revoked=r.revoked_at is not None)
            for r in rows
        ]


def revoke_invite(catalog: Catalog, invite_id: int, *, by: int | None = None) -> None:
    """Make a link useless; NotFoundError where there is none of this number."""

    def work(connection: Connection) -> None:
        over = sa.update(Invite).where(Invite.id == invite_id).values(revoked_at=now_us())
        if connection.execute(over).rowcount == 0:
            raise NotFoundError(f"invite {invite_id}: there is none of this number.")
        record(connection, by, "invite revoked", {"invite": invite_id})

    catalog.run(work)


def accept_invite(
    catalog: Catalog, secret: str, name: str, *, password: str | None = None, now: int | None = None
) -> tuple[Person, str]:
    """Come in by a link; gives who one is now, and the secret of the session.

    Raises:
        NotAllowedError: a link that is unknown, used up, over or revoked.
        ConflictError: the name is taken; the link can be used again with another.
    """
    at = now_us() if now is None else now
    shown = _checked_name(name)
    hashed = None if password is None else hash_password(password)

    def work(connection: Connection) -> tuple[Person, str]:
        good = (Invite.uses_left > 0, Invite.revoked_at.is_(None), Invite.expires_at > at)
        use = sa.update(Invite).where(Invite.token_hash == digest(secret), *good).values(uses_left=Invite.uses_left - 1)
        row = connection.execute(use.returning(Invite.id, Invite.role)).one_or_none()
        if row is None:
            raise NotAllowedError("this link is no longer good: ask for a new one.")
        found = _insert(connection, shown, row.role, hashed)
        record(connection, found, "invite used", {"invite": row.id})
        person = _person(connection, Annotator.id == found)
        return person, _start_session(connection, found, SESSION_S, at)

    try:
        return _named(catalog, work, shown)
    except NotAllowedError:
        audit(catalog, None, "invite refused", {"name": shown})
        raise
