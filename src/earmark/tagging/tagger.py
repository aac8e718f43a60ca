"""The Tagger: a model folder and onnxruntime. Never torch; pandas only when a table is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from earmark.audio.examine import check_usable
from earmark.audio.read import stream
from earmark.audio.signal import resample, skip_silence, to_mono
from earmark.bundle.load import Bundle, load_bundle
from earmark.bundle.schema import MODEL_NAME
from earmark.errors import AudioError, BundleError, InputError
from earmark.metrics import unknown
from earmark.settings import usable_cores
from earmark.tagging.cutting import WindowCutter
from earmark.tagging.decoder import BLOCK_S
from earmark.tagging.prefetch import prefetch
from earmark.tagging.scores import Scores
from earmark.types import Reason, Samples, Vocabulary

Array = npt.NDArray[np.float32]

_BATCH_S = 16.0  # seconds of audio that the net sees at once: more is no faster, and leaves the caches
_MAX_BATCH = 32


class Tagger:
    """Tags audio with a bundle.

    The same recording gives the same numbers from `tag`, `tag_many`, a stream or an array, alone or among others:
    windows are cut by one rule and batched by their place in the recording, never with another recording's.

    A front end that skips silence does so within each window here, so that times stay true; `clip_logits` skips it in
    the whole clip first, as training does.

    Args:
        bundle: an opened model folder.
        threads: for the net; default: the cores this process may use.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self.header = bundle.header
        self.vocabulary: Vocabulary = bundle.header.vocabulary.vocabulary()
        self.threads = threads or usable_cores()
        self._session = _session(bundle, self.threads)
        self._reference = bundle.reference() if bundle.header.refusal is not None else {}

    def __repr__(self) -> str:
        kind, name = self.vocabulary.kind, self.header.name
        return f"<Tagger {name!r}: {len(self.vocabulary)} tags, {kind}, {self.bundle.hash[:12]}>"

    @property
    def sample_rate_hz(self) -> int:
        """What audio is resampled to."""
        return self.header.windows.sample_rate_hz

    @property
    def window_samples(self) -> int:
        """Samples of one window, at `sample_rate_hz`."""
        return self.header.windows.length_samples

    @property
    def batch_windows(self) -> int:
        """Windows that the net sees at once. It follows from the window's length alone, so that no machine differs."""
        return max(1, min(_MAX_BATCH, round(_BATCH_S / self.header.windows.length_s)))

    def run(self, batch: Array) -> tuple[Array, Array]:
        """(b, n) float32 windows -> logits (b, tags), embeddings (b, d)."""
        logits, embeddings = self._session.run(("logits", "embedding"), {"samples": batch})
        return logits, embeddings

    def clip_logits(self, samples: Samples) -> tuple[Array, Array]:
        """(n,) mono samples at `sample_rate_hz` -> logits (tags,), embedding (d,): means over the clip's windows."""
        logits, embeddings = self.clip_windows(samples)
        return _mean(logits), _mean(embeddings)

    def clip_windows(self, samples: Samples) -> tuple[Array, Array]:
        """(n,) mono samples at `sample_rate_hz` -> logits (w, tags), embeddings (w, d) of the clip's windows.

        This is how evaluation hears a clip. Windows follow the front end's `crop`: all of the clip (`cover`, `energy`)
        or the one in its middle (`centre`).
        """
        spec = self.header.front_end
        if spec.skip_silence_db is not None:
            samples = skip_silence(samples, self.sample_rate_hz, threshold_db=spec.skip_silence_db)
        if spec.crop == "centre" and len(samples) > self.window_samples:
            start = (len(samples) - self.window_samples) // 2
            samples = samples[start : start + self.window_samples]
        logits: list[Array] = []
        embeddings: list[Array] = []
        for batch in self._batches([samples], self._cutter(None, skip_silence_db=None)):
            batch_logits, batch_embeddings = self.run(batch)
            logits.append(batch_logits)
            embeddings.append(batch_embeddings)
        if not logits:
            raise InputError("clip_windows: a clip of 0 samples; expected at least one.")
        return np.concatenate(logits), np.concatenate(embeddings)

    def tag(
        self,
        source: str | Path | npt.NDArray[np.floating],
        sample_rate_hz: int | None = None,
        *,
        overlap: float | None = None,
    ) -> Scores:
        """Tag a file, or samples.

        A file is streamed: its length costs time, not memory. It is decoded in this process, by native code; for files
        that nobody vouches for see `tag_many`, which decodes apart.

        Args:
            source: a path; or samples (n,) or (n, channels), floating, within [-1, 1], with `sample_rate_hz`.
            sample_rate_hz: of the samples.
            overlap: share of a window that the next one repeats, 0 <= overlap < 1; default: the model's own.

        Raises:
            AudioError: the file cannot be read; its `reason` says why.
            InputError: samples of integers (their full scale is not said), or of another shape.
        """
        if isinstance(source, (str, Path)):
            if sample_rate_hz is not None:
                raise InputError("tag: sample_rate_hz goes with samples; a file knows its own rate.")
            with stream(source, sample_rate_hz=self.sample_rate_hz, block_s=BLOCK_S) as blocks:
                scores = self.tag_blocks(
                    str(source), checked(str(source), blocks, self.sample_rate_hz), overlap=overlap
                )
            return scores if blocks.warning is None else _with_warning(scores, blocks.warning)
        if sample_rate_hz is None:
            raise InputError("tag: samples need their sample_rate_hz, e.g. tagger.tag(samples, 44100).")
        mono = resample(to_mono(_floating(source)), sample_rate_hz, self.sample_rate_hz)
        if not np.isfinite(mono).all():
            raise AudioError(
                "samples", Reason.NON_FINITE, "tag: the samples hold NaN or infinity; expected finite numbers."
            )
        return self.tag_blocks("", [mono], overlap=overlap)

    def tag_blocks(self, name: str, blocks: Iterable[Samples], *, overlap: float | None = None) -> Scores:
        """Tag mono samples at `sample_rate_hz` that arrive in blocks (n,); `name` becomes `Scores.recording`.

        Blocks are fetched in a thread while the net computes.
        """
        cutter = self._cutter(overlap, skip_silence_db=self.header.front_end.skip_silence_db)
        logits: list[Array] = []
        unlike: list[Array] = []
        one_block = isinstance(blocks, list) and len(blocks) == 1
        for batch in self._batches(blocks if one_block else prefetch(blocks), cutter):
            batch_logits, embeddings = self.run(batch)
            logits.append(batch_logits)
            if self._reference:  # now, so that a long recording's embeddings need not be kept
                unlike.append(unknown.score(batch_logits, embeddings, self._reference).astype(np.float32))
        if not logits:
            raise AudioError(name, Reason.EMPTY, f"{name or 'tag'}: no sample in it; expected audio.")
        return self._scores(name, cutter, np.concatenate(logits), np.concatenate(unlike) if unlike else None)

    def _scores(self, name: str, cutter: WindowCutter, logits: Array, unlike: Array | None) -> Scores:
        rate = self.sample_rate_hz
        starts = np.array(cutter.starts, np.int64)
        stops = np.minimum(starts + self.window_samples, cutter.n_samples)
        mean = _mean(logits)
        refusal = self.header.refusal
        return Scores(
            recording=name,
            duration_s=round(cutter.n_samples / rate, 6),
            start_s=np.round(starts / rate, 6),
            stop_s=np.round(stops / rate, 6),
            logits=logits,
            probabilities=self.header.probabilities(logits),
            mean_logits=mean,
            mean_probabilities=self.header.probabilities(mean),
            vocabulary=self.vocabulary,
            thresholds=self.header.threshold_row(),
            bundle_hash=self.bundle.hash,
            unknown=unlike,
            unknown_threshold=refusal.threshold if refusal is not None else None,
        )

    def _cutter(self, overlap: float | None, *, skip_silence_db: float | None) -> WindowCutter:
        if overlap is not None and not 0.0 <= overlap < 1.0:
            raise InputError(f"overlap is {overlap}; expected 0 <= overlap < 1.")
        windows = self.header.windows
        return WindowCutter(
            windows.length_samples,
            windows.hop_samples(overlap),
            self.batch_windows,
            windows.padding,
            skip_silence_db=skip_silence_db,
            sample_rate_hz=windows.sample_rate_hz,
        )

    @staticmethod
    def _batches(blocks: Iterable[Samples], cutter: WindowCutter) -> Iterator[Array]:
        for block in blocks:
            yield from cutter.feed(block)
        yield from cutter.finish()


def checked(path: str, blocks: Iterable[Samples], sample_rate_hz: int) -> Iterator[Samples]:
    """The blocks of a file; at the end AudioError if it was too short or silent throughout, by preparing's rules."""
    frames, peak = 0, 0.0
    for block in blocks:
        frames += len(block)
        if len(block):
            peak = max(peak, float(block.max()), -float(block.min()))
        yield block
    check_usable(path, frames=frames, sample_rate_hz=sample_rate_hz, peak=peak)


def load(path: str | Path, *, threads: int | None = None, verify: bool = True) -> Tagger:
    """A Tagger for the model folder at `path`.

    Args:
        path: as `earmark train` wrote it.
        threads: for the net; default: the cores this process may use.
        verify: check the sha256 of every file in the folder.

    Raises:
        BundleError: no model folder, a changed byte, a newer format.
    """
    return Tagger(load_bundle(path, verify=verify), threads=threads)


def _floating(source: npt.NDArray[np.floating]) -> Array:
    """Samples as float32; InputError where their scale or shape is another than it must be."""
    samples = np.asarray(source)
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            f"tag: samples of {samples.dtype}; expected floats within [-1, 1]: divide by the full scale, "
            "e.g. samples / 32768 for int16."
        )
    if samples.ndim not in (1, 2):
        raise InputError(f"tag: samples of shape {samples.shape}; expected (n,) or (n, channels).")
    if samples.ndim == 2 and samples.shape[1] > max(1, samples.shape[0]):
        raise InputError(
            f"tag: samples of shape {samples.shape} would be {samples.shape[1]} channels; expected (n, channels): "
            "hand over samples.T."
        )
    return np.asarray(samples, np.float32)


def _session(bundle: Bundle, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # a waiting thread that spins takes its core from the decoder
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = bundle.file(MODEL_NAME)
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base
        raise BundleError(f"{path}: onnxruntime cannot open it ({error}); export the model again.") from error
    _check_graph(bundle, session)
    return session


def _check_graph(bundle: Bundle, session: ort.InferenceSession) -> None:
    header, path = bundle.header, bundle.path / MODEL_NAME
    expected = {
        "samples": header.windows.length_samples,
        "logits": len(header.vocabulary.tags),
        "embedding": header.embedding_size,
    }
    found = {node.name: node.shape[-1] for node in [*session.get_inputs(), *session.get_outputs()]}
    for name, size in expected.items():
        # a size that the graph leaves open is a name or None
        if name not in found or (isinstance(found[name], int) and found[name] != size):
            raise BundleError(
                f"{path}: {name} has size {found.get(name, 'none')}, expected {size} as earmark.json says; "
                "export the model again."
            )


def _mean(rows: Array) -> Array:
    # summed in float64 over all rows at once: the same to the last bit however the rows were batched
    return np.asarray(rows.mean(axis=0, dtype=np.float64), np.float32)


def _with_warning(scores: Scores, warning: str) -> Scores:
    from dataclasses import replace

    return replace(scores, warning=warning)
