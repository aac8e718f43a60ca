"""A file being decoded: its decoders in turn, and what came of it.

MP3 goes to PyAV first: libsndfile ends at an estimate of the length where a variable bit rate has no Xing header (it
lost a quarter of one test file), and its floats differ by a few 1e-8 with the size of the block that is read, so the
hash of the decoded audio would depend on how it was read. PyAV takes about 1.4 times as long. An OGG of several streams
one after another goes to PyAV first too: libsndfile reads the first of them and says nothing. A WAV longer than its
32-bit size can say goes to a reader of our own: libsndfile ends there and says nothing. Everything else goes to
soundfile first and to PyAV where soundfile refuses. Where a decoder gives up in the middle of a file, the next one goes
on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from types import TracebackType

from earmark.audio.headers import Header, read_header
from earmark.audio.sources import (
    BLOCK_VALUES,
    AvSource,
    DecodeError,
    DecoderName,
    Frames,
    RiffSource,
    SoundfileSource,
    Source,
)
from earmark.errors import AudioError
from earmark.types import Reason

__all__ = ["BLOCK_VALUES", "AvSource", "DecoderName", "Decoding", "Frames", "no_sample"]


class Decoding:
    """A file being decoded by whichever decoders it takes.

    Attributes:
        header, source: what is open.
        decoded: frames given so far, counted from the file's beginning.
        trouble: where a decoder gave up and no other could go on, in its words.

    Raises (on opening):
        AudioError: MISSING, EMPTY, NOT_AUDIO or UNSUPPORTED.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decoded = 0
        self.trouble: str | None = None
        self.at_end = False
        self.header = _header(path)
        order: list[type[SoundfileSource] | type[AvSource] | type[RiffSource]]
        av_first = self.header.kind == "MP3" or self.header.chained
        order = [AvSource, SoundfileSource] if av_first else [SoundfileSource, AvSource]
        if self.header.riff is not None and self.header.outgrown:
            order.insert(0, RiffSource)
        elif self.header.riff is not None and 4 < self.header.riff.bytes_per_sample <= 8:
            order.insert(1, RiffSource)  # FFmpeg reads 64 bits too, but those of a big-endian file the wrong way round
        self._rest = iter(order)
        self._refusals: list[DecodeError] = []
        source = self._next_source()
        if source is None:
            raise _refusal(path, self.header, self._refusals)
        self.source: Source = source

    def _next_source(self) -> Source | None:
        for make in self._rest:
            try:
                return make(self.path, self.header)
            except DecodeError as error:
                self._refusals.append(error)
        return None

    def blocks(self, start: int = 0, block: int = BLOCK_VALUES) -> Iterator[Frames]:
        """Frames (n, channels) float32 from frame `start` to the end."""
        self.decoded = start
        while True:
            trouble = None
            try:
                for frames in self.source.blocks(self.decoded, block):
                    self.decoded += len(frames)
                    yield frames
            except DecodeError as error:
                trouble = str(error)
            short = trouble is not None or self.decoded == 0
            following = self._next_source() if short else None
            if following is None:
                self.trouble = self.trouble or trouble
                self.at_end = True
                return
            same = (following.sample_rate_hz, following.channels) == (self.source.sample_rate_hz, self.source.channels)
            if self.decoded and not same:
                following.close()
                self.trouble, self.at_end = trouble, True
                return
            self.source.close()
            self.source = following

    def shortfall(self) -> str | None:
        """After the last block: what is missing, in words with both lengths; None for a whole file."""
        if not self.at_end:
            return None
        rate, claimed = self.source.sample_rate_hz, self.source.claimed
        seconds = f"{self.decoded / rate:.2f} s decoded"
        if claimed is not None and self.decoded < claimed - self.source.tolerance:
            why = f" ({self.trouble.rstrip('.')})" if self.trouble else ""
            return f"{seconds} of {claimed / rate:.2f} s claimed{why}"
        if self.trouble:
            return f"{seconds}, then the decoder gave up ({self.trouble.rstrip('.')}); how much is missing is not known"
        if self.source.damaged:
            return f"{seconds} without {self.source.damaged} damaged packets that were left out"
        if self.header.cut:
            return f"{seconds}; the file ends inside a page, and how much is missing is not known"
        return None

    def close(self) -> None:
        self.source.close()

    def __enter__(self) -> Decoding:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _header(path: Path) -> Header:
    try:
        found = path.stat()
        if S_ISDIR(found.st_mode):
            raise AudioError(str(path), Reason.NOT_AUDIO, f"{path} is a folder: expected an audio file.")
        if not S_ISREG(found.st_mode):
            raise AudioError(str(path), Reason.NOT_AUDIO, f"{path} is a device or pipe: expected an audio file.")
        if found.st_size == 0:
            raise AudioError(str(path), Reason.EMPTY, f"{path} has no bytes: copy or record it again.")
        return read_header(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise AudioError(str(path), Reason.MISSING, f"{path} cannot be opened: {why}; check the path.") from None


def no_sample(decoding: Decoding) -> AudioError:
    """The error for a file that was opened and from which not one sample came."""
    path, source = decoding.path, decoding.source
    of = f" of the {source.claimed / source.sample_rate_hz:.1f} s it claims" if source.claimed else ""
    why = f" ({decoding.trouble.rstrip('.')})" if decoding.trouble else ""
    return AudioError(
        str(path), Reason.EMPTY, f"{path} ({source.format}) holds no sample{of}{why}: record or copy it again."
    )


def _refusal(path: Path, header: Header, refusals: list[DecodeError]) -> AudioError:
    # libsndfile's word for an MPEG file without a frame is that the file does not exist
    said = [str(refusal).rstrip(".") for refusal in refusals if "does not exist" not in str(refusal)]
    words = "; ".join(dict.fromkeys(said))
    reason = Reason.NOT_AUDIO
    if header.tag_only:
        reason, what = Reason.EMPTY, "ends inside its ID3 tag and holds no sound: it was cut; copy it again."
    elif header.tagged:
        reason, what = Reason.EMPTY, "holds an ID3 tag and no sound after it: it was cut; copy it again."
    elif header.no_data or (header.kind and "End of file" in said):
        reason, what = Reason.EMPTY, f"is {header.kind} that ends before its sound begins: it was cut; copy it again."
    elif any(refusal.not_audio for refusal in refusals):
        what = f"is not audio ({words}): remove it, or give the file with the sound."
    elif header.kind and header.kind != "FLAC" and any(refusal.unsupported for refusal in refusals):
        reason = Reason.UNSUPPORTED
        what = f"is {header.kind} in a coding that no decoder here reads ({words}): convert it to WAV or FLAC."
    elif header.kind:
        what = f"begins like {header.kind} but is damaged beyond reading ({words}): copy it again."
    else:
        what = "is not audio that any decoder here knows: remove it."
    return AudioError(str(path), reason, f"{path} {what}")
