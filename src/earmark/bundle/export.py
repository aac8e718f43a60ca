"""From a trained net to `model.onnx`: samples in, logits and embedding out, the front end inside.

The export is gated: what onnxruntime computes from the file must agree on real clips with what was trained, which is
`LogMel` and the net and not the form that they are exported in, or there is no file.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from earmark.errors import ExportError
from earmark.features.torch import LogMel

log = logging.getLogger("earmark.bundle")

TOLERANCE = 1e-4
"""Largest disagreement between torch and onnxruntime, of logits and of embeddings alike: see `Disagreement`."""

TrainedNets: TypeAlias = Sequence[tuple[LogMel, nn.Module]]
"""Each net behind its front end, as they were trained; one, or the nets of an ensemble."""


@dataclass(frozen=True)
class Disagreement:
    """How far onnxruntime is from the trained modules, at worst.

    Attributes:
        logits: difference of a logit, absolute, or relative to the largest of its clip where that is above 1: what
            follows is decided by logits beside each other, and float32 rounds with the largest.
        embedding: length of a clip's difference, relative to the root mean square of the clips' lengths: an
            embedding's scale is the net's own, and refusal and drift measure distances in it.
    """

    logits: float
    embedding: float

    @property
    def accepted(self) -> bool:
        return self.logits <= TOLERANCE and self.embedding <= TOLERANCE


class TaggerGraph(nn.Module):
    """Samples (b, n) -> logits (b, tags), embedding (b, d): a front end and a net as one module."""

    def __init__(self, front_end: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.front_end = front_end
        self.net = net

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.net(self.front_end(samples))
        return logits.float(), embedding.float()


class EnsembleGraph(nn.Module):
    """The mean of several nets' logits; their embeddings side by side (b, k * d). Members share one front-end spec."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        logits, embeddings = zip(*(member(samples) for member in self.members), strict=True)
        return torch.stack(logits).mean(dim=0), torch.cat(embeddings, dim=1)


def trained_graph(members: TrainedNets) -> nn.Module:
    """What was trained as one module in evaluation mode: `LogMel` (its precise form) and net, of one or of several."""
    return _joined([TaggerGraph(front_end, net) for front_end, net in members])


def tagger_graph(members: TrainedNets, *, precise: bool = False) -> nn.Module:
    """The same in the form that exports well: front ends by `LogMel.for_export`."""
    return _joined([TaggerGraph(front_end.for_export(precise=precise), net) for front_end, net in members])


def _joined(graphs: Sequence[TaggerGraph]) -> nn.Module:
    graph = graphs[0] if len(graphs) == 1 else EnsembleGraph(graphs)
    return graph.eval().cpu().float()


def export_onnx(members: TrainedNets, path: Path, clips: npt.NDArray[np.float32]) -> Disagreement:
    """Write one net, or an ensemble, as ONNX and prove it against what was trained.

    Args:
        members: front ends and nets; they are moved to the CPU and set to evaluation mode. The graph takes samples
            (b, n) of any batch size b, n as in `clips`, and gives logits and embedding.
        path: of the file.
        clips: (b, n) float32, b >= 2: real windows on which torch and onnxruntime must agree.

    Returns:
        How far they are apart.

    Raises:
        ExportError: logits or embeddings differ by more than TOLERANCE, with a float64 transform too; the file is
            removed.
    """
    found = Disagreement(np.inf, np.inf)
    # A float64 transform takes longer, so it is for nets that make much of bands far below the loudest.
    for precise in (False, True):
        _write(tagger_graph(members, precise=precise), path, torch.from_numpy(clips[:2].copy()))
        found = disagreement(members, path, clips)
        if found.accepted:
            return found
        log.debug("%s of precise=%s is off by %g and %g", path.name, precise, found.logits, found.embedding)
    path.unlink()
    parts = {"logits": found.logits, "embeddings": found.embedding}
    apart = " and ".join(f"{name} by {by:.2g}" for name, by in parts.items() if not by <= TOLERANCE)
    raise ExportError(
        f"{path.name}: onnxruntime and the trained net differ in their {apart} on {len(clips)} real clips, at most "
        f"{TOLERANCE:g} is accepted; no model was written. {_next_step(members)}"
    )


def _write(graph: nn.Module, path: Path, example: Tensor) -> None:
    """`graph` as ONNX, for samples shaped as `example` (2, n) and any batch size."""
    batch = torch.export.Dim("batch", min=1, max=65536)
    noisy = tuple(logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir"))
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                input_names=["samples"],
                output_names=["logits", "embedding"],
                dynamic_shapes=({0: batch},),
                dynamo=True,
                external_data=False,
                optimize=True,
                verbose=False,
            )
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)


def disagreement(members: TrainedNets, path: Path, clips: npt.NDArray[np.float32]) -> Disagreement:
    """How far the ONNX file at `path` is from `members` on `clips` (b, n); infinite where a number is not finite."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    trained = trained_graph(members)
    off, apart, lengths = 0.0, [], []
    with torch.no_grad():
        for first in range(0, len(clips), 16):
            batch = np.ascontiguousarray(clips[first : first + 16])
            logits, embedding = (output.numpy() for output in trained(torch.from_numpy(batch)))
            found = session.run(["logits", "embedding"], {"samples": batch})
            error = np.abs(found[0] - logits) / np.maximum(1.0, np.abs(logits).max(axis=1, keepdims=True))
            if not (np.isfinite(error).all() and np.isfinite(found[1] - embedding).all()):
                return Disagreement(np.inf, np.inf)
            off = max(off, float(error.max()))
            apart.append(np.linalg.norm((found[1] - embedding).astype(np.float64), axis=1))
            lengths.append(np.linalg.norm(embedding.astype(np.float64), axis=1))
    usual = float(np.sqrt(np.mean(np.concatenate(lengths) ** 2)))
    return Disagreement(off, float(np.concatenate(apart).max()) / max(usual, float(np.finfo(np.float32).tiny)))


def _next_step(members: TrainedNets) -> str:
    spec = members[0][0].spec
    if spec.scaling == "ln":
        return (
            f"Bands of next to nothing count for much where front_end.ln_offset is as small as {spec.ln_offset:g}: "
            "choose a larger one."
        )
    return "Please report this with the recipe."


def weights_bytes(net: nn.Module, front_end: LogMel) -> bytes:
    """Parameters and buffers as a safetensors file: `net.*`, and `front_end.*`, its statistics."""
    parts = {"net": net, "front_end": front_end}
    state = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    return bytes(save_safetensors({name: value.detach().cpu().contiguous() for name, value in state.items()}))
