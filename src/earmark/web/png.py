"""A picture of numbers as a PNG, by numpy and zlib alone: one byte a pixel and a palette."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

# near black over violet and orange to a light yellow, ever lighter: it reads in grey, and by colour-blind eyes
_STOPS = (
    *((0, 0, 4), (20, 14, 54), (59, 15, 112), (100, 26, 128), (140, 41, 129), (183, 55, 121)),
    *((222, 73, 104), (247, 112, 92), (254, 159, 109), (254, 207, 146), (252, 253, 191)),
)
_LOW_SHARE = 0.05


def palette() -> npt.NDArray[np.uint8]:
    """(256, 3) uint8 RGB, ever lighter."""
    at = np.linspace(0, len(_STOPS) - 1, 256)
    stops = np.array(_STOPS, dtype=np.float64)
    channels = [np.interp(at, np.arange(len(_STOPS)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def shades(values: npt.NDArray[np.floating], *, most_columns: int) -> npt.NDArray[np.uint8]:
    """(bands, frames) of any range to (bands, columns) uint8, the highest band first.

    The quietest 5 % are black and the loudest white. More frames than `most_columns` are drawn together, each column
    the largest of its frames; its last column may hold fewer.
    """
    frames = values.shape[1]
    if frames > most_columns:
        starts = (np.arange(most_columns) * frames) // most_columns
        values = np.maximum.reduceat(values, starts, axis=1)
    low, high = float(np.quantile(values, _LOW_SHARE)), float(values.max())
    unit = np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.ascontiguousarray(np.round(unit * 255).astype(np.uint8)[::-1])


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(rows, columns) uint8 as a PNG in the colours of `palette`."""
    rows, columns = pixels.shape
    lines = np.zeros((rows, columns + 1), dtype=np.uint8)  # a zero before each row: it is stored as it is
    lines[:, 1:] = pixels
    head = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette().tobytes()), (b"IDAT", zlib.compress(lines.tobytes(), 6)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in (*parts, (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
