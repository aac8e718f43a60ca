"""How the app is run: who may help, where it listens, and how much of anything one visitor may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from earmark.features.spec import FeatureSpec

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Attributes:

    front_end: of the spectrograms, so that people see what a model sees.
    anyone: anyone may help with every task; else only with those that were made so.
    hosts: names in the address bar that are answered to; None: any. It keeps other sites' names from being pointed at
        a server on loopback.
    longest_clip_s: a longer clip is refused (413): its sound would not fit a page.
    most_body_bytes: of a request; more is refused (413) before it is read.
    most_kept_bytes: of pictures and sounds on disk; those that were asked for longest ago go first.
    decoders: files that are decoded at a time, each in a process of its own. decode_s: for one clip; a recording that
        takes longer is refused (422).
    logins_a_minute, guests_an_hour: from one address. writes_a_minute, media_a_minute: of one person; media also from
        one address where nobody is logged in.
    """

    front_end: FeatureSpec
    anyone: bool = False
    hosts: tuple[str, ...] | None = LOOPBACK
    longest_clip_s: float = 600.0
    most_body_bytes: int = 1 << 20
    most_kept_bytes: int = 4 << 30
    decoders: int = 2
    decode_s: float = 20.0
    logins_a_minute: int = 10
    guests_an_hour: int = 30
    writes_a_minute: int = 240
    media_a_minute: int = 600
