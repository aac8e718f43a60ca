"""Which recording a new one is a copy of: the same decoded sound, or one that its fingerprint says is the same.

Comparing a new recording with all others would make adding slower with each. So a few words of every fingerprint are
kept in an index, those whose hash is smallest (as in MinHash): copies share some of them, others hardly ever do, and
only what shares one is compared word by word.
"""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.audio.fingerprint import SILENT, Words, find_copies
from earmark.catalog.tables import FingerprintKey, Recording

KEYS = 32
"""Words of each recording that are kept in the index."""

_COMPARED = 16  # recordings that share most keys
_SPREAD = np.uint32(2654435761)  # Knuth's multiplicative hash: neighbouring words fall far apart


def keys_of(words: Words) -> list[int]:
    """At most `KEYS` words, distinct, the same ones whatever the order in which they come."""
    distinct = np.unique(words[words != SILENT])
    order = np.argsort(distinct * _SPREAD, kind="stable")
    return [int(word) for word in distinct[order[:KEYS]]]


def find_original(connection: Connection, audio_sha256: str, words: Words) -> int | None:
    """The recording that one with this sound is a copy of, itself no copy; None: it is new."""
    columns = (Recording.id, Recording.copy_of)
    same = sa.select(*columns).where(Recording.audio_sha256 == audio_sha256).order_by(Recording.id).limit(1)
    row = connection.execute(same).one_or_none()
    if row is not None:
        return int(row.copy_of or row.id)
    keys = keys_of(words)
    if not keys:
        return None
    shared = (
        sa.select(FingerprintKey.recording_id)
        .where(FingerprintKey.key.in_(keys))
        .group_by(FingerprintKey.recording_id)
        .order_by(sa.func.count().desc(), FingerprintKey.recording_id)
        .limit(_COMPARED)
    )
    ids = list(connection.execute(shared).scalars())
    if not ids:
        return None
    near = sa.select(*columns, Recording.fingerprint).where(Recording.id.in_(ids)).order_by(Recording.id)
    rows = connection.execute(near).all()
    others = [np.frombuffer(row.fingerprint or b"", dtype="<u4").astype(np.uint32) for row in rows]
    pairs = [(rate, other) for one, other, rate, _ in find_copies([words, *others]) if one == 0]
    if not pairs:
        return None
    nearest = rows[min(pairs)[1] - 1]
    return int(nearest.copy_of or nearest.id)


def remember(connection: Connection, recording_id: int, words: Words) -> None:
    """Put a recording into the index."""
    rows = [{"key": key, "recording_id": recording_id} for key in keys_of(words)]
    if rows:
        connection.execute(sa.insert(FingerprintKey), rows)
