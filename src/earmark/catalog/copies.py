"""Which recording a new one is a copy of: fingerprints propose, waveforms decide.

Comparing a new recording with all others would make adding slower with each. So a few words of every fingerprint are
kept in an index, those whose hash is smallest (as in MinHash): copies share some of them, others hardly ever do, and
only what shares one is compared word by word. What looks alike then is decoded, in worker processes and outside of any
transaction, and is a copy where the waveforms agree (`earmark.audio.copies`): rumbles and hums look alike and are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.audio.copies import LEAST_AGREEMENT, Pair, Span, compare, excerpts
from earmark.audio.fingerprint import SILENT, Words, find_copies
from earmark.audio.pool import map_files, time_limits
from earmark.catalog.database import Workspace, now_us
from earmark.catalog.tables import Duplicate, FingerprintKey, Recording

KEYS = 32
"""Words of each recording that are kept in the index."""

_COMPARED = 16  # recordings that share most keys
_SPREAD = np.uint32(2654435761)  # Knuth's multiplicative hash: neighbouring words fall far apart


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A recording whose fingerprint looks like that of a new one.

    Attributes:
        recording_id, uri: of the recording. original_id: what it is a copy of, or itself.
        error_rate: share of the fingerprints' bits that differ.
        mine, its: from where to where, in seconds, the new one and this one are to be compared.
    """

    recording_id: int
    uri: str
    original_id: int
    error_rate: float
    mine: Span
    its: Span


Heard = Mapping[int, float | None]
"""Recording -> how well its waveform agrees with the new one's, 0 to 1; None where it cannot be read any more."""


def keys_of(words: Words) -> list[int]:
    """At most `KEYS` words, distinct, the same ones whatever the order in which they come."""
    distinct = np.unique(words[words != SILENT])
    order = np.argsort(distinct * _SPREAD, kind="stable")
    return [int(word) for word in distinct[order[:KEYS]]]


def remember_duplicate(connection: Connection, file_sha256: str, uri: str, was: str) -> None:
    """That the file `uri`, which lay at `was`, has the very bytes of a recording that lies elsewhere."""
    forget_duplicates(connection, uri, was)  # it may have had the bytes of another
    columns = sa.literal(uri), Recording.id, sa.literal(now_us(), Duplicate.added_at.type)
    own = sa.select(*columns).where(Recording.file_sha256 == file_sha256)
    connection.execute(sa.insert(Duplicate).from_select(["uri", "recording_id", "added_at"], own))


def forget_duplicates(connection: Connection, *uris: str) -> None:
    """That none of these is one, or not any more."""
    connection.execute(sa.delete(Duplicate).where(Duplicate.uri.in_(uris)))


def rename(connection: Connection, file_sha256: str, uri: str, now: str, was: str) -> None:
    """The recording `uri` of those bytes lies at `now`, brought there from `was`."""
    mine = (Recording.file_sha256 == file_sha256, Recording.uri == uri)
    connection.execute(sa.update(Recording).where(*mine).values(uri=now, name=Path(now).name))
    forget_duplicates(connection, was, now)


def same_sound(connection: Connection, audio_sha256: str) -> int | None:
    """The recording with the very same decoded samples, itself no copy."""
    same = sa.select(Recording.id, Recording.copy_of).where(Recording.audio_sha256 == audio_sha256)
    row = connection.execute(same.order_by(Recording.id).limit(1)).one_or_none()
    return None if row is None else int(row.copy_of or row.id)


def look_alikes(connection: Connection, words: Words) -> list[LookAlike]:
    """Recordings that the one with this fingerprint may be a copy of, the most alike first."""
    keys = keys_of(words)
    if not keys:
        return []
    shared = (
        sa.select(FingerprintKey.recording_id)
        .where(FingerprintKey.key.in_(keys))
        .group_by(FingerprintKey.recording_id)
        .order_by(sa.func.count().desc(), FingerprintKey.recording_id)
        .limit(_COMPARED)
    )
    ids = list(connection.execute(shared).scalars())
    if not ids:
        return []
    columns = (Recording.id, Recording.uri, Recording.copy_of, Recording.fingerprint)
    rows = connection.execute(sa.select(*columns).where(Recording.id.in_(ids)).order_by(Recording.id)).all()
    others = [np.frombuffer(row.fingerprint or b"", dtype="<u4").astype(np.uint32) for row in rows]
    found = []
    for i, j, rate, lag in find_copies([words, *others]):
        if i == 0:
            row = rows[j - 1]
            mine, its = excerpts(words, others[j - 1], lag)
            found.append(LookAlike(row.id, row.uri, row.copy_of or row.id, rate, mine, its))
    return sorted(found, key=lambda one: (one.error_rate, one.recording_id))


def listen(
    workspace: Workspace, path: str, near: Sequence[LookAlike], *, workers: int, timeout_s: float
) -> dict[int, float | None]:
    """How well a file agrees with each recording that it looks like; decoded in worker processes (`map_files`)."""
    pairs = [Pair(path, str(workspace.path_of(one.uri)), one.mine, one.its) for one in near]
    limits = [sum(time_limits([pair.a, pair.b], timeout_s)) for pair in pairs]
    outcomes = map_files(compare, [(pair.b, pair) for pair in pairs], workers=workers, timeout_s=limits)
    return {near[outcome.index].recording_id: outcome.value for outcome in outcomes}


def decide(near: Sequence[LookAlike], heard: Heard) -> LookAlike | None:
    """Which of `near` the new recording is a copy of.

    One whose waveform agrees, the best of them. Else one that cannot be read any more: it is what its fingerprint says
    it is, as that is right for all but one in a million pairs, and a copy that is taken for new would leak into another
    split.
    """
    agreeing = [(-value, one.error_rate, i) for i, one in enumerate(near) if (value := heard[one.recording_id])]
    best = min(agreeing, default=None)
    if best is not None and -best[0] >= LEAST_AGREEMENT:
        return near[best[2]]
    return next((one for one in near if heard[one.recording_id] is None), None)


def remember(connection: Connection, recording_id: int, words: Words) -> None:
    """Put a recording into the index."""
    rows = [{"key": key, "recording_id": recording_id} for key in keys_of(words)]
    if rows:
        connection.execute(sa.insert(FingerprintKey), rows)
