"""The front end in torch: batched, on whatever device, always in float32; and the same numbers from exportable ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.errors import InputError
from earmark.features import mel
from earmark.features.dft import two_stage
from earmark.features.reference import SMALLEST_RANGE
from earmark.features.spec import DELTA_WIDTH, FeatureSpec
from earmark.features.spectrum import MelSpectrum
from earmark.features.statistics import BandStatistics, StatisticsFitter


class _Constant(nn.Module):
    """A module whose buffers follow it to a device but keep their type, whatever `.to(dtype)` or `.half()` says."""

    def constant(
        self, name: str, values: npt.ArrayLike, *, saved: bool = False, dtype: npt.DTypeLike = np.float32
    ) -> None:
        array = np.ascontiguousarray(np.asarray(values), dtype=dtype)
        self.register_buffer(name, torch.from_numpy(array.copy()), persistent=saved)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Constant:
        def same_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        super()._apply(same_dtype, recurse)  # type: ignore[no-untyped-call]
        return self


class _Finish(_Constant):
    """From scaled mel bands (b, n_mels, frames) to the picture (b, channels, bands, frames): deltas .. normalise."""

    mean: Tensor
    std: Tensor
    delta_first: Tensor
    delta_inner: Tensor
    delta_last: Tensor
    resize_rows: Tensor
    resize_columns: Tensor

    def __init__(self, spec: FeatureSpec, statistics: BandStatistics | None) -> None:
        super().__init__()
        self.spec = spec
        if spec.deltas:
            rows = np.stack([mel.delta_matrix(DELTA_WIDTH, order) for order in range(1, spec.deltas + 1)])
            half = DELTA_WIDTH // 2
            self.constant("delta_inner", rows[:, None, half])
            self.constant("delta_first", rows[:, :half].transpose(0, 2, 1))
            self.constant("delta_last", rows[:, half + 1 :].transpose(0, 2, 1))
        if spec.resize is not None:
            frames = spec.patch_frames or spec.n_frames(spec.n_samples)
            self.constant("resize_rows", mel.resize_matrix(spec.n_mels, spec.resize[0]))
            self.constant("resize_columns", mel.resize_matrix(frames, spec.resize[1]).T)
        if spec.normalise == "band-statistics":
            held = (statistics or BandStatistics.identity(spec)).check(spec)
            self.constant("mean", held.mean, saved=True)
            self.constant("std", held.std, saved=True)

    def forward(self, scaled: Tensor) -> Tensor:
        return self.normalise(self.picture(scaled))

    def picture(self, scaled: Tensor) -> Tensor:
        """The picture before it is normalised."""
        x = self._with_deltas(scaled) if self.spec.deltas else scaled[:, None]
        if self.spec.patch_frames is not None:
            x = _loudest_patch(x, self.spec.patch_frames, self.spec.patch_hop)
        if self.spec.resize is not None:
            columns = self.resize_columns
            if x.shape[-1] != columns.shape[0]:  # a clip of another length than the spec's
                columns = torch.from_numpy(mel.resize_matrix(x.shape[-1], self.spec.resize[1]).T).to(columns)
            x = torch.matmul(torch.matmul(self.resize_rows, x), columns)
        return x

    def normalise(self, x: Tensor) -> Tensor:
        kind = self.spec.normalise
        if kind == "band-statistics":
            return (x - self.mean).div_(self.std)
        if kind == "clip-z":
            x = x - _mean(x)
            return x / _mean(x * x).sqrt().clamp_min(SMALLEST_RANGE)
        if kind in ("clip-minmax", "clip-minmax-symmetric"):
            low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
            unit = (x - low) / (high - low).clamp_min(SMALLEST_RANGE)
            return unit if kind == "clip-minmax" else 2.0 * unit - 1.0
        return x

    def _with_deltas(self, scaled: Tensor) -> Tensor:
        bands, frames = scaled.shape[1], scaled.shape[2]
        orders = self.spec.deltas
        rows = scaled.reshape(-1, 1, frames)
        inner = F.conv1d(rows, self.delta_inner).reshape(-1, bands, orders, frames - DELTA_WIDTH + 1).transpose(1, 2)
        first = torch.matmul(scaled[:, None, :, :DELTA_WIDTH], self.delta_first)
        last = torch.matmul(scaled[:, None, :, frames - DELTA_WIDTH :], self.delta_last)
        return torch.cat([scaled[:, None], torch.cat([first, inner, last], dim=3)], dim=1)


class LogMel(_Constant):
    """Samples (b, n) at spec.sample_rate_hz to pictures (b, channels, bands, frames), float32.

    The same numbers as `earmark.features.reference.log_mel`. Any n that opens a frame will do. It computes in float32
    under autocast too, and no gradient flows back to the samples: the front end is not trained.

    Args:
        spec: the front end.
        statistics: for `normalise: band-statistics`; kept in the state dict as `finish.mean` and `finish.std`. None
            leaves pictures as they were scaled until `fit_statistics` or `set_statistics`.
    """

    filters: Tensor

    def __init__(self, spec: FeatureSpec, statistics: BandStatistics | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.finish = _Finish(spec, statistics)
        filters = _filters(spec)
        used = np.flatnonzero(filters.any(axis=0))
        self.first_bin, self.last_bin = int(used[0]), int(used[-1]) + 1
        filters = filters[:, self.first_bin : self.last_bin]
        self.constant("filters", filters)

    @property
    def centres_hz(self) -> Tensor:
        """(bands,) of the picture, after any resize."""
        spec = self.spec
        centres = mel.mel_edges(spec.n_mels, spec.fmin_hz, spec.upper_hz, spec.mel_scale)[1:-1]
        if spec.resize is not None:
            centres = mel.resize_matrix(spec.n_mels, spec.resize[0]) @ centres
        return torch.from_numpy(centres).float()

    @torch.no_grad()
    def forward(self, samples: Tensor, *, precise: bool = True) -> Tensor:
        """The pictures; `precise` False: the transform in float32, off by up to 1e-3 dB 80 dB down, in half the time.

        That is for training, where augmentation moves the same bands by whole dB.
        """
        with torch.autocast(samples.device.type, enabled=False):
            return self.finish(self.scaled_mel(samples, precise=precise))  # type: ignore[no-any-return]

    @torch.no_grad()
    def scaled_mel(self, samples: Tensor, *, precise: bool = True) -> Tensor:
        """(b, n) to (b, n_mels, frames) after `scaling`, before everything else."""
        if samples.ndim != 2:
            raise InputError(f"samples have shape {tuple(samples.shape)}, expected (b, n).")
        spec = self.spec
        frames = spec.n_frames(samples.shape[1])  # refuses what is too short
        scaled = samples.new_empty(samples.shape[0], spec.n_mels, frames, dtype=torch.float32)
        spectrum = MelSpectrum(spec, self.filters, self.first_bin, precise=precise)
        with torch.autocast(samples.device.type, enabled=False), _full_float32():
            spectrum(samples, scaled, lambda bands: _scale_(bands, spec))
        return scaled

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> BandStatistics:
        """Mean and deviation per channel and band over `batches` of samples (b, n): learnt, loaded and returned."""
        fitter = StatisticsFitter()
        for samples in batches:
            with torch.autocast(samples.device.type, enabled=False):
                x = self.finish.picture(self.scaled_mel(samples)).double()
                sums, squares = x.sum(dim=(0, 3)), (x * x).sum(dim=(0, 3))
            fitter.add_sums(x.shape[0] * x.shape[3], sums.cpu().numpy(), squares.cpu().numpy())
        statistics = fitter.statistics()
        self.set_statistics(statistics)
        return statistics

    def set_statistics(self, statistics: BandStatistics) -> None:
        """Use these from now on; without effect unless `normalise` is `band-statistics`."""
        if self.spec.normalise != "band-statistics":
            return
        statistics.check(self.spec)
        device = self.finish.mean.device
        self.finish.mean = torch.from_numpy(statistics.mean.copy()).to(device)
        self.finish.std = torch.from_numpy(statistics.std.copy()).to(device)

    @property
    def statistics(self) -> BandStatistics | None:
        """What `band-statistics` holds now; None with another `normalise`."""
        if self.spec.normalise != "band-statistics":
            return None
        return BandStatistics(self.finish.mean.cpu().numpy(), self.finish.std.cpu().numpy())

    def for_export(self, n_samples: int | None = None, *, precise: bool = False) -> nn.Module:
        """The same numbers, for (b, n_samples) only (None: spec.n_samples), from ops that onnxruntime runs fast.

        `precise`: the transform in float64. In float32 bands far below a frame's loudest are off by thousandths of a
        dB, which a net may make much of.
        """
        return ExportableLogMel(self.spec, self.statistics, n_samples or self.spec.n_samples, precise=precise)


class ExportableLogMel(_Constant):
    """LogMel without a Fourier op: frames by slices, the transform as two matrix products (see `dft.py`).

    The batch is dynamic, the length is fixed. Every op has an ONNX form that onnxruntime runs on all its providers.
    """

    window: Tensor
    first: Tensor
    second: Tensor
    filters: Tensor

    def __init__(
        self, spec: FeatureSpec, statistics: BandStatistics | None, n_samples: int, *, precise: bool = False
    ) -> None:
        super().__init__()
        self.spec = spec
        self.frames = spec.n_frames(n_samples)
        self.n_samples = n_samples
        self.finish = _Finish(spec, statistics)
        lead = (spec.n_fft - spec.window_length) // 2
        dft = two_stage(spec.n_fft, lead, lead + spec.window_length)
        self.start, self.length, self.inner, self.groups = dft.start, dft.stop - dft.start, dft.inner, dft.groups
        window = mel.analysis_window(spec.window, spec.window_length, spec.n_fft)[dft.start : dft.stop]
        dtype = np.float64 if precise else np.float32
        self.constant("window", window.reshape(-1, dft.inner), dtype=dtype)
        self.constant("first", dft.first, dtype=dtype)
        self.constant("second", dft.second, dtype=dtype)
        self.constant("filters", np.where(dft.kept, _filters(spec)[:, dft.bins], 0.0).T)

    def forward(self, samples: Tensor) -> Tensor:
        spec, inner, groups = self.spec, self.inner, self.groups
        framed = self._frames(_pad_ends(samples, spec)).reshape(-1, self.frames, self.length // inner, inner)
        framed = framed.to(self.window.dtype) * self.window
        columns = torch.matmul(self.first, framed)  # (b, frames, 2 groups, inner)
        columns = columns.reshape(-1, self.frames, groups, 2 * inner).transpose(1, 2)
        parts = torch.matmul(columns, self.second)  # (b, groups, frames, 2 inner)
        parts = parts * parts
        power = parts[..., :inner] + parts[..., inner:]
        power = power.transpose(1, 2).reshape(-1, self.frames, groups * inner).float()
        if spec.power == 1:
            power = power.sqrt()
        bands = torch.matmul(power, self.filters).transpose(1, 2)
        return self.finish(_scale(bands, spec))  # type: ignore[no-any-return]

    def _frames(self, padded: Tensor) -> Tensor:
        """(b, n) to (b, frames, length): rows of one hop side by side, which is cheaper than gathering samples."""
        hop, frames = self.spec.hop_length, self.frames
        parts = -(-self.length // hop)
        needed = (frames + parts - 1) * hop
        padded = padded[:, self.start :]
        missing = needed - padded.shape[1]
        padded = F.pad(padded, (0, missing)) if missing > 0 else padded[:, :needed]
        rows = padded.reshape(-1, frames + parts - 1, hop)
        pieces = [rows[:, i : i + frames] for i in range(parts)]
        pieces[-1] = pieces[-1][:, :, : self.length - (parts - 1) * hop]
        return torch.cat(pieces, dim=2)


def _mean(x: Tensor) -> Tensor:
    """(b, c, bands, frames) to (b, c, 1, 1), one axis after the other: onnxruntime adds up a whole picture in one
    float32, which would be off by 1e-4."""
    return x.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)


def _filters(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    return mel.mel_filters(
        spec.sample_rate_hz, spec.n_fft, spec.n_mels, spec.fmin_hz, spec.upper_hz, spec.mel_scale, spec.mel_norm
    )


@contextmanager
def _full_float32() -> Iterator[None]:
    """Float32 products in float32, even where a training run has allowed TF32 or bfloat16 for its net."""
    allowed = torch.get_float32_matmul_precision()
    if allowed == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _pad_ends(samples: Tensor, spec: FeatureSpec) -> Tensor:
    if not spec.centre:
        return samples
    half = spec.n_fft // 2
    if spec.pad_mode == "constant":
        return F.pad(samples, (half, half))
    return F.pad(samples[:, None], (half, half), mode="reflect")[:, 0]


def _scale_(bands: Tensor, spec: FeatureSpec) -> None:
    """`_scale` in place: bands (b, n_mels, frames) of whole clips."""
    if spec.scaling == "ln":
        bands.add_(spec.ln_offset).clamp_min_(torch.finfo(torch.float32).tiny).log_()
    elif spec.scaling == "db":
        factor, smallest = _db_constants(spec)
        bands.clamp_min_(smallest).log_().mul_(factor)
        if spec.top_db is not None or spec.db_ref == "max":
            loudest = bands.amax(dim=(1, 2), keepdim=True)
            if spec.top_db is not None:
                torch.maximum(bands, loudest - spec.top_db, out=bands)
            if spec.db_ref == "max":
                bands.sub_(loudest)


def _scale(bands: Tensor, spec: FeatureSpec) -> Tensor:
    if spec.scaling == "ln":
        return (bands + spec.ln_offset).clamp_min(torch.finfo(torch.float32).tiny).log()
    if spec.scaling == "none":
        return bands
    factor, smallest = _db_constants(spec)
    db = bands.clamp_min(smallest).log() * factor
    if spec.top_db is None and spec.db_ref == "one":
        return db
    loudest = db.amax(dim=(1, 2), keepdim=True)
    if spec.top_db is not None:
        db = torch.maximum(db, loudest - spec.top_db)
    return db - loudest if spec.db_ref == "max" else db


def _db_constants(spec: FeatureSpec) -> tuple[float, float]:
    """What ln is multiplied by to give dB, and the smallest value that is not nothing."""
    if spec.power == 2:
        return 10.0 / math.log(10.0), spec.amin
    return 20.0 / math.log(10.0), math.sqrt(spec.amin)


def _loudest_patch(x: Tensor, length: int, hop: int) -> Tensor:
    """(b, channels, bands, frames) to (b, channels, bands, length): the run with the largest sum of channel 0."""
    if x.shape[3] < length:
        raise InputError(f"the picture has {x.shape[3]} frames, fewer than patch_frames {length}; feed longer audio.")
    energy = F.avg_pool1d(x[:, 0].sum(dim=1, keepdim=True), length, stride=hop)  # (b, 1, starts)
    start = energy.argmax(dim=2).reshape(-1, 1, 1, 1) * hop
    places = start + torch.arange(length, device=x.device).reshape(1, 1, 1, -1)
    return torch.gather(x, 3, places.expand(-1, x.shape[1], x.shape[2], -1))
