"""What a file's first bytes say: its kind, and how many samples it claims to hold.

Decoders cut a claim down to what is there, or estimate it from the bit rate; to tell a person that a file is cut short,
and by how much, the claim itself has to be read. Sources: RFC 2361 and EBU Tech 3306 (WAV, RF64), Apple's AIFF-C draft,
the Xing, LAME and VBRI headers as documented by G. Bouvigne and by Fraunhofer IIS, RFC 3533 (Ogg).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_CHUNKS = 2000
_STREAMED = (0, 0x7FFFFFFF, 0x7FFFFFFE, 0xFFFFFFFF, 0xFFFFFFFE)  # data sizes written by tools that cannot seek back

_SIZES = 1 << 32  # a 32-bit size is what is left of the true one after division by this
_TRAILING = 1 << 20  # bytes of tags that may follow the samples

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_WIDTHS = {_PCM: range(1, 9), _FLOAT: (4, 8)}  # bytes a sample


@dataclass(frozen=True, slots=True)
class RiffData:
    """Where the samples of a PCM WAV lie; `floating` where they are no integers."""

    offset: int
    size: int
    channels: int
    sample_rate_hz: int
    bytes_per_sample: int
    big_endian: bool
    floating: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """Attributes:

    kind: `WAV`, `AIFF`, `FLAC`, `OGG`, `MP3`, `MP4`, ...; empty where the first bytes are of no known kind.
    frames: samples per channel that the header claims; None where it states none or where a decoder's word is as good.
    overclaim: how many times more sample bytes the header claims than the file holds, or the file holds than a decoder
        will read; 1 for a whole file.
    chained: an OGG whose last page belongs to another stream than its first: one recording after another, or sound
        beside pictures.
    cut: the file ends inside a structure that says how long it is, though not how much follows.
    no_data: a WAV that ends before its samples begin.
    riff: integer PCM WAV data, whatever the width; of an outgrown WAV floats too.
    outgrown: `riff` is longer than its 32-bit size says, where decoders would end without a word.
    tagged: an ID3 tag comes first. tag_only: it fills the whole file; there is no room for sound.
    """

    kind: str
    frames: int | None = None
    overclaim: float = 1.0
    cut: bool = False
    chained: bool = False
    no_data: bool = False
    riff: RiffData | None = None
    outgrown: bool = False
    tagged: bool = False
    tag_only: bool = False


def read_header(path: Path) -> Header:
    """The header of `path`; never raises for what the bytes hold, only OSError for a file that cannot be read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        tag_end = _id3_length(head)
        if tag_end:
            if tag_end >= size:
                return Header("MP3", tagged=True, tag_only=True)
            file.seek(tag_end)
            head = file.read(64)
        kind = _kind(head)
        if kind == "WAV" and not tag_end:
            return _wav(file, size)
        if kind == "AIFF" and not tag_end:
            return Header("AIFF", frames=_aiff_frames(file))
        if kind == "OGG":
            cut, chained = _ogg_end(file, size, serial=head[14:18])
            return Header("OGG", cut=cut, chained=chained)
        if kind == "MP3" or (tag_end and not kind):
            return Header("MP3", frames=_mp3_frames(file, tag_end), tagged=tag_end > 0)
        return Header(kind)


def _kind(head: bytes) -> str:
    start, form, box = head[:4], head[8:12], head[4:8]
    if start in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return {b"WAVE": "WAV", b"AVI ": "AVI"}.get(form, "")
    if start == b"FORM":
        return "AIFF" if form in (b"AIFF", b"AIFC") else ""
    if box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "MP4"
    for magic, kind in (
        (b"fLaC", "FLAC"),
        (b"OggS", "OGG"),
        (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
        (b".snd", "AU"),
        (b"dns.", "AU"),
        (b"caff", "CAF"),
        (b"riff\x2e\x91\xcf\x11", "W64"),
        (b"wvPK", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"#!AMR", "AMR"),
        (b"TTA1", "TTA"),
        (b"FLV\x01", "FLV"),
        (b"Creative Voice File", "VOC"),
    ):
        if head.startswith(magic):
            return kind
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        if head[1] & 0xF6 == 0xF0:
            return "AAC"
        if _mpeg_frame(head) is not None:
            return "MP3"
    return ""


def _id3_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag at the beginning of a file, 0 where there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    a, b, c, d = (byte & 0x7F for byte in head[6:10])
    footer = 10 if head[5] & 0x10 else 0
    return 10 + (a << 21 | b << 14 | c << 7 | d) + footer


def _wav(file: BinaryIO, size: int) -> Header:
    file.seek(0)
    start = file.read(12)
    big = start[:4] == b"RIFX"
    order = ">" if big else "<"
    position = 12
    tag = channels = rate = align = 0
    long_size: int | None = None
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, length = chunk[:4], struct.unpack(order + "I", chunk[4:])[0]
        if name == b"ds64":
            body = file.read(24)
            if len(body) >= 16:
                long_size = struct.unpack("<Q", body[8:16])[0]
        elif name == b"fmt ":
            body = file.read(min(length, 40))
            if len(body) < 16:
                return Header("WAV")
            tag, channels, rate, _, align = struct.unpack(order + "HHIIH", body[:14])
            if tag == _EXTENSIBLE and len(body) >= 26:
                tag = struct.unpack(order + "H", body[24:26])[0]
        elif name == b"data":
            if length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            present = max(0, size - position - 8)
            width = align // channels if channels and rate and align % channels == 0 else None
            true = None if long_size is not None else _outgrown(file, position + 8, length, size, order)
            if true is not None:
                if width is None or width not in _WIDTHS.get(tag, ()):
                    return Header("WAV", overclaim=true / max(1, length))  # decoders read no more than `length`
                whole = RiffData(position + 8, true, channels, rate, width, big, floating=tag == _FLOAT)
                return Header("WAV", riff=whole, outgrown=True)
            claimed = None if length in _STREAMED else length
            overclaim = claimed / present if claimed and 0 < present < claimed else 1.0
            riff = None
            if tag == _PCM and width is not None:
                used = present if claimed is None else min(claimed, present)
                riff = RiffData(position + 8, used, channels, rate, width, big)
            return Header("WAV", overclaim=overclaim, riff=riff)
        position += 8 + length + (length & 1)
    return Header("WAV", no_data=True)


def _outgrown(file: BinaryIO, start: int, length: int, size: int, order: str) -> int | None:
    """Bytes of samples in a WAV that is longer than the 32-bit `length` it states, None where that is the truth.

    Writers that know nothing of RF64 either leave the largest number there or what is left of the true one.
    """
    present = size - start
    if length in _STREAMED:
        more = present >= _SIZES or (0 < length < present and not _chunk_follows(file, start + length, size, order))
        return present if more else None
    trailing = (present - length) % _SIZES
    return present - trailing if present >= length + _SIZES and trailing < _TRAILING else None


def _chunk_follows(file: BinaryIO, position: int, size: int, order: str) -> bool:
    """Whether a chunk with a name of letters begins here, or at the next even byte, and ends within the file."""
    position += position & 1
    file.seek(position)
    chunk = file.read(8)
    if len(chunk) < 8 or not chunk[:4].strip().isalnum():
        return False
    return position + 8 + int(struct.unpack(order + "I", chunk[4:])[0]) <= size


def _aiff_frames(file: BinaryIO) -> int | None:
    position = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8:
            return None
        length = int.from_bytes(chunk[4:], "big")
        if chunk[:4] == b"COMM":
            body = file.read(6)
            return int.from_bytes(body[2:6], "big") if len(body) == 6 else None
        position += 8 + length + (length & 1)
    return None


def _ogg_end(file: BinaryIO, size: int, serial: bytes) -> tuple[bool, bool]:
    """Whether the last page says it is longer than the file, and whether it is of another stream than `serial`."""
    last, tail = -1, b""
    for reach in (8192, 2 * 65307):  # most pages are of 4 kB, a page is at most 65,307 bytes
        file.seek(max(0, size - reach))
        tail = file.read()
        last = tail.rfind(b"OggS")
        if last >= 0:
            break
    if last < 0:
        return False, False
    page = tail[last:]
    chained = len(page) >= 18 and page[14:18] != serial
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True, chained
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]), chained


def _mpeg_frame(head: bytes) -> tuple[int, int] | None:
    """(samples per frame, offset of the Xing header in the frame) of an MPEG audio frame header, None for no header."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, mono = head[2] >> 4, head[2] >> 2 & 3, head[3] >> 6 == 3
    if version == 1 or layer == 0 or bitrate == 15 or rate == 3:
        return None
    if layer == 3:
        return 384, 0
    one = version == 3
    samples = 1152 if one or layer == 2 else 576
    side = (17 if mono else 32) if one else (9 if mono else 17)
    return samples, 4 + side


def _mp3_frames(file: BinaryIO, start: int) -> int | None:
    """Samples that a Xing, Info or VBRI header promises, encoder delay and padding taken off; None without one."""
    file.seek(start)
    data = file.read(8192)
    for position in range(len(data) - 4):
        if data[position] == 0xFF and data[position + 1] & 0xE0 == 0xE0:
            frame = _mpeg_frame(data[position : position + 4])
            if frame is None:
                continue
            samples, offset = frame
            vbri = data[position + 36 : position + 54]
            if vbri[:4] == b"VBRI" and len(vbri) == 18:
                return int.from_bytes(vbri[14:18], "big") * samples
            xing = data[position + offset : position + offset + 144]
            if xing[:4] not in (b"Xing", b"Info") or len(xing) < 12 or not xing[7] & 1:
                return None
            total = int.from_bytes(xing[8:12], "big") * samples
            tag = 8 + sum(length for bit, length in ((1, 4), (2, 4), (4, 100), (8, 4)) if xing[7] & bit)
            if xing[tag : tag + 4] in (b"LAME", b"Lavf", b"Lavc") and len(xing) >= tag + 24:
                trims = int.from_bytes(xing[tag + 21 : tag + 24], "big")
                total -= (trims >> 12) + (trims & 0xFFF)
            return max(0, total)
    return None
