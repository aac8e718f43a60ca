"""Many recordings at once: each decoded in a process of its own lane, all by one net."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from earmark.errors import AudioError
from earmark.settings import check_seconds, load_settings
from earmark.tagging.decoder import Decoder
from earmark.tagging.lanes import Lanes
from earmark.tagging.scores import Scores
from earmark.tagging.tagger import Tagger, checked
from earmark.types import Samples

Heard = Callable[[str, float, float | None], None]
"""Called with a path, seconds of it just heard, and its duration where the file says it; from any thread."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """What became of one recording: scores, or an error that says why there are none."""

    path: str
    scores: Scores | None
    error: AudioError | None


def tag_many(
    tagger: Tagger,
    paths: Iterable[str],
    *,
    overlap: float | None = None,
    workers: int | None = None,
    timeout_s: float | None = None,
    first: Decoder | None = None,
    heard: Heard | None = None,
) -> Generator[Tagged]:
    """Tag recordings, in the order in which they are done. The numbers are those of `Tagger.tag`.

    A file is decoded in another process, in blocks. One that crashes or hangs the decoder costs only itself. Memory
    grows neither with the number of files nor with their length.

    Args:
        tagger: does the tagging.
        paths: of recordings; taken as they are needed, so a generator of a million is welcome.
        overlap: as in `Tagger.tag`.
        workers: recordings at once; default: EARMARK_WORKERS, else the cores this process may use.
        timeout_s: for the next block of a file; default: EARMARK_DECODE_TIMEOUT, else 60.
        first: a decoder that is already running, to save the moment that its start takes; closed at the end.
        heard: told of every block.
    """
    settings = load_settings()
    limit = settings.decode_timeout_s if timeout_s is None else check_seconds("timeout_s", timeout_s)

    def work(path: str, decoder: Decoder) -> Tagged:
        return _tag(tagger, path, decoder, overlap, heard)

    lanes = Lanes(work, iter(paths), timeout_s=limit, first=first)
    try:
        yield from lanes.run(workers or settings.workers)
    finally:
        lanes.stop()


def _tag(tagger: Tagger, path: str, decoder: Decoder, overlap: float | None, heard: Heard | None) -> Tagged:
    try:
        blocks = checked(path, _listening(tagger.sample_rate_hz, path, decoder, heard), tagger.sample_rate_hz)
        scores = tagger.tag_blocks(path, blocks, overlap=overlap)
    except AudioError as error:
        return Tagged(path, None, error)
    return Tagged(path, replace(scores, warning=decoder.warning), None)


def _listening(sample_rate_hz: int, path: str, decoder: Decoder, heard: Heard | None) -> Iterator[Samples]:
    for block in decoder.blocks(path, sample_rate_hz):
        yield block
        if heard is not None:
            heard(path, len(block) / sample_rate_hz, decoder.duration_s)
