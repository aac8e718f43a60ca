"""Write a model folder: whole or not at all, and never over something else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from earmark.bundle.load import Bundle, file_sha256, is_bundle, load_bundle
from earmark.bundle.schema import HEADER_NAME, BundleHeader, check_file_name
from earmark.errors import BundleError


def write_bundle(
    path: str | Path, header: BundleHeader, files: Mapping[str, Path | bytes], *, replace: bool = False
) -> Bundle:
    """Write the model folder `path` from its header and its other files.

    The folder is made beside `path` under a temporary name, flushed to the disk, and renamed, so that `path` holds a
    whole model or none. `header.files` is filled in here.

    Args:
        path: where to; its parent is made if need be.
        header: everything else of `earmark.json`.
        files: path inside the folder (forward slashes) -> the file to copy, or its bytes.
        replace: overwrite a model that stands there already. A folder that is no model folder is never overwritten,
            and files of the user's own in the old model folder are carried over.

    Raises:
        BundleError: `path` is taken, a name leaves the folder, or the disk refuses.
    """
    target = Path(path)
    check_target(target, replace=replace)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        hashes = {name: _put(temporary, name, content) for name, content in sorted(files.items())}
        full = _revalidated(header, files=hashes)
        _write(temporary / HEADER_NAME, full.render())
        temporary.chmod(0o755)
        _sync_folders(temporary)
        _move_in(temporary, target)
    except OSError as error:
        raise BundleError(
            f"{target}: the model could not be written ({error.strerror or error}); nothing was replaced."
        ) from None
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary)
    return load_bundle(target, verify=False)


def update_bundle(
    path: str | Path, changes: Mapping[str, Any] | None = None, files: Mapping[str, Path | bytes] | None = None
) -> Bundle:
    """Write the model folder `path` anew with some header fields changed and some files replaced or added.

    Args:
        path: a model folder; it is verified first, so a changed byte is never signed.
        changes: header field -> new value, e.g. {"refusal": Refusal(...)}.
        files: as in write_bundle; files not named stay as they are.
    """
    bundle = load_bundle(path)
    unknown = sorted(set(changes or ()) - set(BundleHeader.model_fields))
    if unknown:
        raise BundleError(f"{bundle.path}: {unknown[0]!r} is no field of {HEADER_NAME}.")
    header = _revalidated(bundle.header, **dict(changes or {}))
    kept: dict[str, Path | bytes] = {name: bundle.path / name for name in bundle.header.files}
    return write_bundle(bundle.path, header, {**kept, **(files or {})}, replace=True)


def check_target(path: Path, *, replace: bool) -> None:
    """BundleError unless a model may be written at `path`; ask before a long training, not after it."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise BundleError(f"{path}: a file stands there; choose another folder for the model.")
    if is_bundle(path):
        if not replace:
            raise BundleError(f"{path}: a model stands there already; choose another folder, or --replace it.")
        return
    if any(path.iterdir()):
        raise BundleError(
            f"{path}: holds files and is no model folder, so it is not overwritten; choose an empty or a new folder."
        )


def _revalidated(header: BundleHeader, **changes: Any) -> BundleHeader:
    # model_copy would take anything; going through the content validates it
    content = {**header.model_dump(mode="json"), **{key: _plain(value) for key, value in changes.items()}}
    try:
        return BundleHeader.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BundleError(f"{HEADER_NAME}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _put(folder: Path, name: str, content: Path | bytes) -> str:
    try:
        check_file_name(name)
    except ValueError as error:
        raise BundleError(str(error)) from None
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        _write(target, content)
        return hashlib.sha256(content).hexdigest()
    if not content.is_file():
        raise BundleError(f"{content}: no such file; it was to become {name} of the model folder.")
    shutil.copyfile(content, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return file_sha256(target)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folders(folder: Path) -> None:
    for place in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move_in(new: Path, target: Path) -> None:
    """Rename `new` to `target`. A model there steps aside first, and comes back if the second rename fails."""
    if not target.exists():
        new.rename(target)
    elif not any(target.iterdir()):
        target.rmdir()
        new.rename(target)
    else:
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
        _carry_over(target, new)
        target.rename(old / "model")
        try:
            new.rename(target)
        except OSError:
            (old / "model").rename(target)
            raise
        shutil.rmtree(old)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _carry_over(old: Path, new: Path) -> None:
    """Copy what lies in the old folder and is not the old model's into the new one, unless the new one has it."""
    # read plainly, so that a model of which a file is lost can still be replaced
    known = {*json.loads((old / HEADER_NAME).read_bytes())["files"], HEADER_NAME}
    for file in old.rglob("*"):
        name = file.relative_to(old).as_posix()
        if file.is_file() and name not in known and not (new / name).exists():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, new / name)
