"""Open a model folder: every byte checked, nothing unpickled."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from earmark.bundle.schema import (
    FORMAT_VERSION,
    HEADER_NAME,
    MODEL_NAME,
    REFERENCE_NAME,
    SEEN_NAME,
    BundleHeader,
    header_hash,
)
from earmark.errors import BundleError


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model folder that was opened.

    Attributes:
        path: the folder.
        header: what its `earmark.json` says.
        hash: sha256 of the header, which names the sha256 of every other file: the name of exactly this model.
    """

    path: Path
    header: BundleHeader
    hash: str

    def file(self, name: str) -> Path:
        """The path of a file that the header lists; BundleError if it lists none of that name."""
        if name not in self.header.files:
            raise BundleError(f"{self.path}: the model folder holds no {name}; expected one of {self._listing()}.")
        return self.path / name

    def has(self, name: str) -> bool:
        return name in self.header.files

    def reference(self) -> dict[str, npt.NDArray[np.floating]]:
        """The arrays of reference.npz (embedding mean and covariance, score quantiles); empty where there is none."""
        if not self.has(REFERENCE_NAME):
            return {}
        try:
            with np.load(self.file(REFERENCE_NAME), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            raise BundleError(f"{self.path / REFERENCE_NAME}: cannot be read without unpickling ({error}).") from None

    def seen(self) -> frozenset[str]:
        """Hashes of the decoded audio that the model was trained on (column `audio_sha256` of seen.parquet)."""
        if not self.has(SEEN_NAME):
            return frozenset()
        import pyarrow.parquet as pq

        return frozenset(pq.read_table(self.file(SEEN_NAME), columns=["audio_sha256"])["audio_sha256"].to_pylist())

    def _listing(self) -> str:
        return ", ".join(sorted(self.header.files))


def load_bundle(path: str | Path, *, verify: bool = True) -> Bundle:
    """Open the model folder at `path`.

    Args:
        path: the folder, or its earmark.json.
        verify: check the sha256 of every listed file (about a gigabyte a second). The header is checked always, and
            that no listed file is missing. A report or a card is checked like the net: one rule, no exceptions.

    Raises:
        BundleError: no model folder, a newer format, a field that makes no sense, a missing or changed file.
    """
    folder = Path(path)
    if folder.name == HEADER_NAME:
        folder = folder.parent
    header, digest = _read_header(folder)
    for name, expected in sorted(header.files.items()):
        file = folder / name
        if not file.is_file():
            raise BundleError(
                f"{file}: missing, though {HEADER_NAME} lists it; restore the model folder from a good copy."
            )
        if verify:
            found = file_sha256(file)
            if found != expected:
                raise BundleError(
                    f"{file}: changed since the model was written (sha256 {found[:12]}…, expected {expected[:12]}…); "
                    "restore the model folder from a good copy."
                )
    return Bundle(folder, header, digest)


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_bundle(path: Path) -> bool:
    """Whether the folder holds an earmark.json that says it is a model's."""
    try:
        content = json.loads((path / HEADER_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "format_version" in content and "files" in content


def _read_header(folder: Path) -> tuple[BundleHeader, str]:
    try:
        data = (folder / HEADER_NAME).read_bytes()
    except FileNotFoundError:
        if not folder.exists():
            raise BundleError(
                f"{folder}: no such folder; expected a model folder as `earmark train` writes it."
            ) from None
        raise BundleError(
            f"{folder}: no {HEADER_NAME} in it, so it is no model folder; expected one as `earmark train` writes it."
        ) from None
    except NotADirectoryError:
        raise BundleError(f"{folder}: a file; expected a model folder as `earmark train` writes it.") from None
    except OSError as error:
        raise BundleError(
            f"{folder / HEADER_NAME}: cannot be read ({error.strerror}); check its permissions."
        ) from None
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    version = content.get("format_version") if isinstance(content, dict) else None
    # before anything else: a newer format may hash or name things in a way that is unknown here
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{folder}: model format {version}, but this Earmark reads formats up to {FORMAT_VERSION}; "
            "update it with `pip install --upgrade earmark`."
        )
    try:
        digest = header_hash(data)
    except BundleError as error:
        raise BundleError(f"{folder}/{error}") from None
    try:
        header = BundleHeader.model_validate({k: v for k, v in json.loads(data).items() if k != "sha256"})
    except ValidationError as error:
        raise BundleError(
            f"{folder / HEADER_NAME}: {_first(error)}; the model folder was not written by Earmark."
        ) from None
    if MODEL_NAME not in header.files:
        raise BundleError(
            f"{folder / HEADER_NAME}: lists no {MODEL_NAME}; the model folder is incomplete, export it again."
        )
    return header, digest


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "header"
    return f"{where}: {first['msg']}"
