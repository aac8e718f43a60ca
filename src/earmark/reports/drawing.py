"""What every picture has in common: names are drawn as they are written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def drawing(style: Any = None) -> Iterator[None]:
    """Settings of matplotlib while a figure is made and while it is saved; also a decorator.

    Classes and files are called what people called them: `$` begins no formula, and a character that no font here
    holds is a box in the picture, not a line of warning for each time it is drawn.

    Args:
        style: further settings of matplotlib, as a dict.
    """
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context({**(style or {}), "text.parse_math": False}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
