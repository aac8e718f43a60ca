"""From a trained net to `model.onnx`: samples in, logits and embedding out, the front end inside.

The export is gated: what onnxruntime computes from the file must agree with torch on real clips, or there is no file.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from earmark.errors import ExportError
from earmark.features.torch import LogMel

TOLERANCE = 1e-4
"""Largest difference of a logit between torch and onnxruntime, absolute, or relative where logits are above 1."""


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


def tagger_graph(members: Sequence[tuple[LogMel, nn.Module]]) -> nn.Module:
    """The graph of one net, or of an ensemble, in evaluation mode and in the form that exports well."""
    graphs = [TaggerGraph(front_end.for_export(), net) for front_end, net in members]
    graph = graphs[0] if len(graphs) == 1 else EnsembleGraph(graphs)
    return graph.eval().cpu().float()


def export_onnx(graph: nn.Module, path: Path, clips: npt.NDArray[np.float32]) -> float:
    """Write `graph` as ONNX and prove it.

    Args:
        graph: samples (b, n) -> logits, embedding; any batch size b, n as in `clips`.
        path: of the file.
        clips: (b, n) float32, b >= 2: real windows on which torch and onnxruntime must agree.

    Returns:
        The largest difference between their logits.

    Raises:
        ExportError: they differ by more than TOLERANCE; the file is removed.
    """
    example = torch.from_numpy(clips[:2].copy())
    batch = torch.export.Dim("batch", min=1, max=65536)
    noisy = tuple(logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir"))
    levels = [log.level for log in noisy]
    for log in noisy:
        log.setLevel(logging.ERROR)
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
        for log, level in zip(noisy, levels, strict=True):
            log.setLevel(level)
    difference = disagreement(graph, path, clips)
    if not difference <= TOLERANCE:
        path.unlink()
        raise ExportError(
            f"{path.name}: onnxruntime and torch differ by {difference:.2g} on {len(clips)} real clips, at most "
            f"{TOLERANCE:g} is accepted; no model was written. Please report this with the recipe."
        )
    return difference


def disagreement(graph: nn.Module, path: Path, clips: npt.NDArray[np.float32]) -> float:
    """Largest difference of a logit, absolute or relative to the logit's size where that is above 1."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    with torch.no_grad():
        for first in range(0, len(clips), 16):
            batch = np.ascontiguousarray(clips[first : first + 16])
            expected = graph(torch.from_numpy(batch))[0].numpy()
            found = session.run(["logits"], {"samples": batch})[0]
            error = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
            worst = max(worst, float(error.max())) if np.isfinite(error).all() else np.inf
    return worst


def weights_bytes(net: nn.Module, front_end: LogMel) -> bytes:
    """Parameters and buffers as a safetensors file: `net.*`, and `front_end.*`, its statistics."""
    parts = {"net": net, "front_end": front_end}
    state = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    return bytes(save_safetensors({name: value.detach().cpu().contiguous() for name, value in state.items()}))
