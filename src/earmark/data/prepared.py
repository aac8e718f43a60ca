"""Prepared audio: clips of a manifest as slices of memory-mapped int16, for batches without decoding."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.audio.fingerprint import RATE_HZ, fingerprint
from earmark.audio.signal import resample
from earmark.data.manifest import Manifest
from earmark.data.store import Store
from earmark.errors import CacheError, InputError
from earmark.settings import usable_cores
from earmark.types import Progress, Quiet, Reason, Samples

FINGERPRINT_BLOCK_S = 300
_log = logging.getLogger("earmark.data")
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file, or a clip of one, that cannot be used. `reason` is a code of `earmark.types.Reason`."""

    path: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Resident:
    """All recordings in one piece, to be moved to a device once.

    Attributes:
        samples: (N,) int16, recordings one after another.
        starts: (rows,) int64, where each row's clip begins in `samples`.
        lengths: (rows,) int64, samples of each clip.
        scales: (rows,) float32; sample = int16 * scale.
    """

    samples: npt.NDArray[np.int16]
    starts: Int64s
    lengths: Int64s
    scales: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A manifest's clips as mono samples at one rate.

    Attributes:
        manifest: without the rows whose recording or span cannot be used.
        recordings: one row a recording: uri, recording, file_sha256, audio_sha256, sample_rate_hz, channels,
            duration_s, format (all of the file), n_samples (at the prepared rate), peak, rms_db, warning ('' or what
            was lost).
        recording_index: (rows,) int64, the recording of each manifest row.
        quarantine: what was left out and why.
        sample_rate_hz: of the prepared samples.
        shards: the mapped shards, each (n,) int16.
        scales: (recordings,) float32; sample = int16 * scale.
    """

    manifest: Manifest
    recordings: pd.DataFrame
    recording_index: Int64s
    quarantine: list[Quarantined]
    sample_rate_hz: int
    shards: list[npt.NDArray[np.int16]]
    scales: npt.NDArray[np.float32]
    _shard_of: Int64s = field(repr=False)  # (recordings,)
    _offsets: Int64s = field(repr=False)  # (recordings,) in their shard
    _sizes: Int64s = field(repr=False)  # (recordings,) samples
    _starts: Int64s = field(repr=False)  # (rows,) of the clip in its recording
    _stops: Int64s = field(repr=False)
    _crcs: npt.NDArray[np.uint32] = field(repr=False)
    _checked: npt.NDArray[np.bool_] = field(repr=False)  # (recordings,) compared with their checksum since opened
    _store: Store = field(repr=False)
    _fingerprints: dict[str, bytes] = field(repr=False)  # by file_sha256, filled when first asked for

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        store: Store,
        keys: dict[str, str],
        quarantine: list[Quarantined],
        *,
        sound: Collection[str] = frozenset(),
    ) -> Prepared:
        """Slices for `manifest`. `keys` maps the uri of every usable file to its key in `store`; recordings of the keys
        `sound` have been compared with their checksums, the others are when they are first touched."""
        rate = store.sample_rate_hz
        uris = [uri for uri in dict.fromkeys(manifest.rows["uri"]) if uri in keys]
        entries = [store.entries[keys[uri]] for uri in uris]
        position = {uri: index for index, uri in enumerate(uris)}
        shard_names = list(dict.fromkeys(entry.shard for entry in entries))
        shard_index = {name: index for index, name in enumerate(shard_names)}
        index = np.array([position.get(uri, -1) for uri in manifest.rows["uri"]], np.int64)
        lengths = np.array([entry.n_samples for entry in entries], np.int64)
        usable = index >= 0
        limit = np.where(usable, lengths[index] if len(entries) else 0, 0)
        starts = _to_samples(manifest.rows["start_s"], rate, default=np.zeros_like(limit))
        stops = np.minimum(_to_samples(manifest.rows["stop_s"], rate, default=limit), limit)
        outside = usable & (starts >= stops)
        lost = [_outside(manifest, row, limit[row] / rate) for row in np.flatnonzero(outside).tolist()]
        keep = np.flatnonzero(usable & ~outside)
        kept = manifest if len(keep) == len(manifest) else manifest.take(keep)
        names = dict(zip(manifest.rows["uri"], manifest.rows["recording"], strict=True))
        return cls(
            manifest=kept,
            recordings=_table(entries, uris, names),
            recording_index=index[keep],
            quarantine=[*quarantine, *lost],
            sample_rate_hz=rate,
            shards=[store.shard(name) for name in shard_names],  # what is mapped stays, whatever is pruned later
            scales=np.array([entry.scale for entry in entries], np.float32),
            _shard_of=np.array([shard_index[entry.shard] for entry in entries], np.int64),
            _offsets=np.array([entry.offset for entry in entries], np.int64),
            _sizes=lengths,
            _starts=starts[keep],
            _stops=stops[keep],
            _crcs=np.array([entry.crc32 for entry in entries], np.uint32),
            _checked=np.array([entry.file_sha256 in sound for entry in entries], np.bool_),
            _store=store,
            _fingerprints={},
        )

    def __len__(self) -> int:
        """Clips."""
        return len(self.recording_index)

    @property
    def lengths(self) -> Int64s:
        """(rows,) int64, samples of each clip."""
        return self._stops - self._starts

    def in_chunks(self, length: int, least: int) -> Prepared:
        """The clips cut into chunks of `length` samples, one after another from each clip's beginning.

        What is left over at a clip's end is a clip of its own, of fewer samples, where it has at least `least`; else it
        is dropped. A clip of at most `length` samples stays as it is, however short. A chunk is a row of the manifest
        like its clip's but for `start_s` and `stop_s`: tags, weights, group, fold and split are the clip's.

        Args:
            length: samples at the prepared rate, above 0; least: likewise.
        """
        if length < 1 or least < 1:
            raise InputError(f"chunks of {length} samples, the last of at least {least}: expected both above 0.")
        lengths = self.lengths
        whole, rest = np.divmod(lengths, length)
        is_cut = lengths > length
        counts = np.where(is_cut, whole + (rest >= least), 1)
        rows = np.repeat(np.arange(len(self)), counts)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = self._starts[rows] + place * length
        stops = np.where(is_cut[rows], np.minimum(starts + length, self._stops[rows]), self._stops[rows])
        manifest = self.manifest.take(rows)
        given = manifest.rows
        return replace(
            self,
            manifest=manifest.with_rows(
                start_s=given["start_s"].mask(is_cut[rows], starts / self.sample_rate_hz),
                stop_s=given["stop_s"].mask(is_cut[rows], stops / self.sample_rate_hz),
            ),
            recording_index=self.recording_index[rows],
            _starts=starts,
            _stops=stops,
        )

    def span(self, i: int) -> tuple[int, int]:
        """(start, stop) of row i's clip in its recording, in samples at the prepared rate."""
        return int(self._starts[i]), int(self._stops[i])

    def samples(self, i: int) -> Samples:
        """Row i's whole clip, (n,) float32."""
        batch, _ = self.gather([i], [0], int(self._stops[i] - self._starts[i]))
        return np.asarray(batch[0])

    def gather(
        self, rows: npt.ArrayLike, starts: npt.ArrayLike, length: int, out: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.float32], Int64s]:
        """A batch of cuts.

        Args:
            rows: (b,) rows of the manifest.
            starts: (b,) first sample of each cut within its clip, 0 or more.
            length: samples of each cut.
            out: (b, length) float32 to fill; made if not given.

        Returns:
            (b, length) float32 and (b,) int64: how many samples of each cut exist; the rest of it is 0.

        Raises:
            CacheError: a recording's bytes are not the ones that were written (checked when first touched).
        """
        rows = np.asarray(rows, np.int64)
        begins = self._starts[rows] + np.asarray(starts, np.int64)
        valid = np.clip(self._stops[rows] - begins, 0, length)
        recordings = self.recording_index[rows]
        if not self._checked[recordings].all():
            for recording in np.unique(recordings[~self._checked[recordings]]):
                self._check(int(recording))
        if out is None:
            out = np.empty((len(rows), length), np.float32)
        elif out.shape != (len(rows), length) or out.dtype != np.float32:
            raise InputError(f"gather: out is {out.shape} {out.dtype}, expected {(len(rows), length)} float32.")
        froms = self._offsets[recordings] + begins
        for k, (shard, first, n, scale) in enumerate(
            zip(
                self._shard_of[recordings].tolist(),
                froms.tolist(),
                valid.tolist(),
                self.scales[recordings],
                strict=True,
            )
        ):
            target = out[k]
            target[:n] = self.shards[shard][first : first + n]  # then times: a product of mixed types takes half again
            target[:n] *= scale
            target[n:] = 0.0
        return out, valid

    def pcm(self, recording: int) -> npt.NDArray[np.int16]:
        """A recording's samples, (n_samples,) int16, a view of the mapped shard."""
        first = int(self._offsets[recording])
        shard: npt.NDArray[np.int16] = self.shards[self._shard_of[recording]]
        return shard[first : first + int(self._sizes[recording])]

    def excerpt(self, recording: int, start_s: float, stop_s: float) -> Samples:
        """(n,) float32 of a recording at the fingerprint's 8 kHz, to compare it with another."""
        rate = self.sample_rate_hz
        pcm = self.pcm(recording)[round(start_s * rate) : round(stop_s * rate)]
        samples: Samples = resample(pcm.astype(np.float32) * self.scales[recording], rate, RATE_HZ)
        return samples

    def resident(self, max_bytes: int) -> Resident | None:
        """All recordings in one array to move to a device once; None where that takes more than `max_bytes`."""
        if 2 * int(self._sizes.sum()) > max_bytes:
            return None
        firsts = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)
        samples = np.empty(int(firsts[-1]), np.int16)
        for recording in range(len(self._sizes)):
            if not self._checked[recording]:
                self._check(recording)
            samples[firsts[recording] : firsts[recording + 1]] = self.pcm(recording)
        return Resident(
            samples,
            firsts[self.recording_index] + self._starts,
            self.lengths,
            self.scales[self.recording_index],
        )

    def audio_hash(self, i: int) -> str:
        """Hash of the decoded audio of row i's recording (see `earmark.audio.hashing`)."""
        return str(self.recordings["audio_sha256"].iat[self.recording_index[i]])

    def fingerprint(self, recording: int) -> npt.NDArray[np.uint32]:
        """(m,) uint32; see `earmark.audio.fingerprint`. The first call computes those of all recordings."""
        key = str(self.recordings["file_sha256"].iat[recording])
        if key not in self._fingerprints:
            self.fingerprints()
        return np.frombuffer(self._fingerprints[key], "<u4")

    def fingerprints(self, progress: Progress | None = None) -> list[npt.NDArray[np.uint32]]:
        """Of each recording, (m,) uint32: for `find_copies`. Computed once and kept in the store."""
        keys = self.recordings["file_sha256"].tolist()
        if len(self._fingerprints) == 0:
            self._fingerprints.update(self._store.fingerprints())
        missing = [(index, key) for index, key in enumerate(keys) if key not in self._fingerprints]
        if missing:
            progress = Quiet() if progress is None else progress
            progress.start("Fingerprinting", len(missing), "recording")
            found: dict[str, bytes] = {}
            try:
                # threads: nearly all of it is resampling and Fourier transforms, which leave the interpreter free
                with ThreadPoolExecutor(usable_cores()) as pool:
                    for (_, key), words in zip(missing, pool.map(self._words, (m[0] for m in missing)), strict=True):
                        found[key] = words
                        progress.advance(1)
            finally:
                progress.stop()
            self._fingerprints.update(found)
            try:
                self._store.keep_fingerprints(found)
            except CacheError as error:  # they are here; only the next run has to compute them again
                _log.warning("%s Fingerprints are not kept.", error)
        return [np.frombuffer(self._fingerprints[key], "<u4") for key in keys]

    def _words(self, recording: int) -> bytes:
        """In pieces of five minutes, so that a long recording takes no more memory than a short one."""
        pcm, scale, step = self.pcm(recording), self.scales[recording], FINGERPRINT_BLOCK_S * self.sample_rate_hz
        pieces = (pcm[start : start + step].astype(np.float32) * scale for start in range(0, len(pcm), step))
        return b"".join(fingerprint(piece, self.sample_rate_hz).astype("<u4").tobytes() for piece in pieces)

    def _check(self, recording: int) -> None:
        if zlib.crc32(np.ascontiguousarray(self.pcm(recording)).data) != int(self._crcs[recording]):
            raise CacheError(
                f"{self.recordings['uri'].iat[recording]}: its prepared copy is damaged on disk; run "
                "`earmark cache verify`, which drops damaged copies, then run this again."
            )
        self._checked[recording] = True


def _to_samples(seconds: pd.Series[Any], rate: int, *, default: Int64s) -> Int64s:
    """Seconds to samples, half rounded up; `default` where the span is open."""
    given = seconds.to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isnan(given), default, np.floor(np.nan_to_num(given) * rate + 0.5)).astype(np.int64)


def _outside(manifest: Manifest, row: int, duration_s: float) -> Quarantined:
    uri, start_s, stop_s = (manifest.rows[name].tolist()[row] for name in ("uri", "start_s", "stop_s"))
    span = (
        f"from {0.0 if math.isnan(start_s) else start_s:g} s to {'the end' if math.isnan(stop_s) else f'{stop_s:g} s'}"
    )
    return Quarantined(
        uri,
        Reason.TOO_SHORT,
        f"{uri}: the clip {span} lies outside the recording, which lasts {duration_s:.2f} s; correct the span.",
    )


def _table(entries: list[Any], uris: list[str], names: dict[str, str]) -> pd.DataFrame:
    columns = (
        "file_sha256",
        "audio_sha256",
        "sample_rate_hz",
        "channels",
        "duration_s",
        "format",
        "n_samples",
        "peak",
        "rms_db",
        "warning",
    )
    table: dict[str, list[Any]] = {"uri": uris, "recording": [names[uri] for uri in uris]}
    table |= {column: [getattr(entry, column) for entry in entries] for column in columns}
    # paths as objects: a file name need not be UTF-8, and a column of pandas strings must be
    kinds = {"uri": object, "recording": object}
    return pd.DataFrame({name: pd.Series(values, dtype=kinds.get(name)) for name, values in table.items()})
