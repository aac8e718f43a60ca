"""Earmark turns a folder of sounds into a tagger people can trust."""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's own would cost every start its import
if TYPE_CHECKING:
    from typing import Any

    from earmark.tagging.tagger import Tagger, load

__all__ = ["Tagger", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # `earmark --help` must not pay for numpy and onnxruntime, so these arrive when asked for
    if name in ("load", "Tagger"):
        from earmark.tagging import tagger

        return getattr(tagger, name)
    raise AttributeError(f"module 'earmark' has no attribute {name!r}")
