"""Hashes of passwords (argon2id, since people choose them) and of secrets that we draw (SHA-256: 256 random bits)."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from typing import TYPE_CHECKING

from earmark.errors import CatalogError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 10

_LONGEST_PASSWORD = 1024  # characters: hashing more is work that anybody could make us do


def digest(secret: str) -> str:
    """64 hex digits of a secret that we drew."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


def hash_again(hashed: str, password: str) -> str | None:
    """The hash as it is made today, where it was made with weaker settings."""
    return _hasher().hash(password) if _hasher().check_needs_rehash(hashed) else None


@cache
def _nobody() -> str:
    """The hash of a password that nobody has, so that an unknown name takes as long as a known one."""
    return _hasher().hash(secrets.token_urlsafe(32))


def hash_password(password: str) -> str:
    """CatalogError where it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise CatalogError(
            f"a password of {len(password)} characters: expected {SHORTEST_PASSWORD} to {_LONGEST_PASSWORD}."
        )
    return _hasher().hash(password)


def verify_password(hashed: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed; with None it takes as long, and is not."""
    from argon2.exceptions import VerificationError

    try:
        _hasher().verify(hashed or _nobody(), password[: _LONGEST_PASSWORD + 1])
    except VerificationError:
        return False
    return hashed is not None
