"""The decoders: our own for wide integers, and what FFmpeg may open."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoded_sounds import reason_of, wav_bytes

from earmark.audio.read import read
from earmark.types import Reason

MakeWav = Callable[..., Path]


@pytest.mark.parametrize("width", [5, 6, 7, 8])
@pytest.mark.parametrize("order", ["little", "big"])
def test_integers_wider_than_32_bits(tmp_path: Path, width: int, order: str):
    values = [0, 1 << (8 * width - 2), -(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1] * 100
    data = b"".join(value.to_bytes(width, order, signed=True) for value in values)  # type: ignore[arg-type]
    content = wav_bytes(data, tag=1, channels=2, rate=8000, align=2 * width, bits=8 * width)
    if order == "big":
        content = content.replace(b"RIFF", b"RIFX", 1)
        fmt = struct.pack(">HHIIHH", 1, 2, 8000, 8000 * 2 * width, 2 * width, 8 * width)
        content = b"RIFX" + struct.pack(">I", 36 + len(data)) + b"WAVEfmt " + struct.pack(">I", 16) + fmt
        content += b"data" + struct.pack(">I", len(data)) + data
    path = tmp_path / "wide.wav"
    path.write_bytes(content)
    audio = read(path, mono=False)
    assert audio.samples.shape == (200, 2)
    assert audio.samples[:2].ravel().tolist() == pytest.approx([0.0, 0.5, -1.0, 1.0])
    assert (read(path, mono=False, start_s=0.01).samples == audio.samples[80:]).all()


def test_a_playlist_cannot_make_the_decoder_open_other_files(formats: dict[str, Path], tmp_path: Path):
    target = formats["16.wav"]
    playlists = {
        "a.mp3": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n",
        "b.wav": f"ffconcat version 1.0\nfile '{target}'\n",
        "c.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{target}\n#EXT-X-ENDLIST\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        assert reason_of(tmp_path / name)[0] == Reason.NOT_AUDIO


def test_a_video_without_sound(tmp_path: Path):
    import av

    with av.open(str(tmp_path / "v.mp4"), "w") as file:
        video = file.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for k in range(5):
            picture.pts = k
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    reason, message = reason_of(tmp_path / "v.mp4")
    assert reason == Reason.NOT_AUDIO
    assert "no sound track" in message
