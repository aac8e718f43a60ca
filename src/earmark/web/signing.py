"""The server's key, and what it signs: cookies, and the tokens that tell our own forms from another site's.

The key lies in the workspace, readable by its owner only; without it every session ends. Signing keeps forged cookies
from ever reaching the database; the database keeps only hashes of what the cookies hold.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from earmark.errors import InputError

_KEY_BYTES = 32
_KEY_FILE = "web.key"


class Signer:
    """Signs and checks texts.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, purpose: str, text: str) -> str:
        """`text` with a signature that is good for one purpose only."""
        return f"{text}.{self.mark(purpose, text)}"

    def mark(self, purpose: str, text: str) -> str:
        """64 hex digits that only this server can reckon."""
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()

    def read(self, purpose: str, signed: str | None) -> str | None:
        """What was signed; None where nothing is there or the signature is not ours."""
        text, _, mark = (signed or "").rpartition(".")
        good = hmac.compare_digest(self.mark(purpose, text).encode(), mark.encode("utf-8", "surrogatepass"))
        return text if text and good else None

    def matches(self, purpose: str, text: str, mark: str) -> bool:
        """Whether `mark` is what `mark(purpose, text)` gives."""
        return hmac.compare_digest(self.mark(purpose, text).encode(), mark.encode("utf-8", "surrogatepass"))


def load_key(root: Path) -> bytes:
    """The key of a workspace, made at its first start.

    Raises:
        InputError: a key that is none, or cannot be read or written.
    """
    path = root / _KEY_FILE
    try:
        partial = path.with_name(f".{_KEY_FILE}.{os.getpid()}")
        if not path.exists():
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_KEY_BYTES))
            try:
                os.link(partial, path)  # of two servers that start at once, the first one's key counts
            except FileExistsError:
                pass
            finally:
                partial.unlink()
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; the server keeps its key there.") from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InputError(f"{path} holds no key (64 hex digits): delete it, and everybody logs in again with a new one.")
    return key
