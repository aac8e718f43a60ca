from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import sqlalchemy as sa
from added_sounds import RATE_HZ, added, recordings, sound

from earmark.audio import read as audio
from earmark.catalog import probing
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.status import status
from earmark.catalog.tables import Clip, Duplicate, FingerprintKey, Quarantined, Recording
from earmark.errors import CatalogError, InputError


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for i in range(3):
        sound(folder / f"band{i}_song.wav", 3.0 + i, i, channels=1 + i % 2)
    (folder / "broken.wav").write_bytes(b"RIFF no")
    return folder


def _clips(catalog: Catalog) -> list[sa.Row]:
    with catalog.read() as connection:
        query = sa.select(Recording.name, Clip.__table__).join(Clip, Clip.recording_id == Recording.id)
        return connection.execute(query.order_by(Clip.id)).all()


def test_files_become_recordings_and_clips_and_broken_ones_are_quarantined(
    workspace: Workspace, catalog: Catalog, songs: Path
):
    done = added(workspace, catalog, songs, chunk_s=1.0, group_by=[r"^(band\d)"], licence="CC0-1.0", source="us")
    assert (len(done.recordings), done.clips, done.copies) == (3, 3 + 4 + 5, [])
    assert [error.path for error in done.quarantined] == [str(songs / "broken.wav")]
    first = recordings(catalog)[0]
    assert (first.name, first.sample_rate_hz, first.channels, first.frames) == ("band0_song.wav", RATE_HZ, 1, 24000)
    assert (first.group_name, first.licence, first.source, first.copy_of) == ("band0", "CC0-1.0", "us", None)
    assert [(clip.start, clip.stop) for clip in _clips(catalog) if clip.name == first.name] == [
        (0, 8000),
        (8000, 16000),
        (16000, 24000),
    ]
    with catalog.read() as connection:
        row = connection.execute(sa.select(Quarantined.__table__)).one()
    assert (row.name, row.reason) == ("broken.wav", str(done.quarantined[0].reason))
    assert "broken.wav" in row.message


def test_adding_again_adds_only_what_is_new_and_a_mended_file_leaves_quarantine(
    workspace: Workspace, catalog: Catalog, songs: Path
):
    added(workspace, catalog, songs)
    sound(songs / "broken.wav", 2.0, 9)
    shutil.copy(songs / "band0_song.wav", songs / "same bytes.wav")
    done = added(workspace, catalog, songs)
    assert [Path(uri).name for uri in done.recordings] == ["broken.wav"]
    assert len(done.known) == 4
    with catalog.read() as connection:
        assert connection.execute(sa.select(Quarantined.id)).all() == []
    again = added(workspace, catalog, songs)
    assert (again.recordings, again.clips, len(again.known)) == ([], 0, 5)


def test_without_a_length_each_recording_is_one_clip(workspace: Workspace, catalog: Catalog, songs: Path):
    added(workspace, catalog, songs)
    frames = {row.name: row.frames for row in recordings(catalog)}
    assert {(clip.name, clip.start, clip.stop) for clip in _clips(catalog)} == {(k, 0, v) for k, v in frames.items()}
    assert {clip.chunk_id for clip in _clips(catalog)} == {None}


def test_written_chunks_hold_the_spans_sample_for_sample(workspace: Workspace, catalog: Catalog, songs: Path):
    done = added(workspace, catalog, songs, chunk_s=2.0, write="wav")
    clips = _clips(catalog)
    assert [clip.chunk_id for clip in clips] == [f"{n:06d}" for n in range(1, len(clips) + 1)]
    assert done.clips == len(clips) == 2 + 2 + 3  # 3 s: 2 and 1; 4 s: 2 and 2; 5 s: 2, 2 and 1
    for clip in clips:
        assert clip.file == f"audio/{clip.chunk_id}.wav"
        written = audio.read(workspace.path_of(clip.file), mono=False).samples
        whole = audio.read(songs / clip.name, mono=False).samples
        np.testing.assert_array_equal(written, whole[clip.start : clip.stop])
    assert sorted(path.name for path in workspace.audio_dir.iterdir()) == [f"{clip.chunk_id}.wav" for clip in clips]


def test_chunks_and_their_names_are_on_disk_before_the_commit_that_names_them(
    workspace: Workspace, catalog: Catalog, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    happened: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        happened.append(os.path.realpath(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fsync", note)
    probed = probing.probe(probing.Job(str(songs / "band0_song.wav"), 1.0, None, str(tmp_path / "beside"), ".wav"))
    assert happened == [str(tmp_path / "beside" / f"{number}.wav") for number in range(len(probed.spans))]
    happened.clear()
    sa.event.listen(catalog.engine, "commit", lambda _: happened.append("commit"))
    added(workspace, catalog, songs / "band0_song.wav", chunk_s=1.0, write="wav")
    named = happened.index(str(workspace.audio_dir))
    assert len(_clips(catalog)) == 3
    assert happened[named + 1] == "commit"
    assert happened.count(str(workspace.audio_dir)) == 1


def test_chunks_may_overlap_and_be_lossy(workspace: Workspace, catalog: Catalog, songs: Path):
    added(workspace, catalog, songs / "band0_song.wav", chunk_s=1.0, hop_s=0.5, write="mp3")
    clips = _clips(catalog)
    assert [clip.start for clip in clips] == [0, 4000, 8000, 12000, 16000]
    found = audio.read(workspace.path_of(clips[-1].file)).samples
    assert abs(len(found) - 8000) <= 2304


@pytest.mark.parametrize("kbps", [48, 160])
def test_chunks_in_mp3_have_the_bit_rate_that_was_asked_for(tmp_path: Path, kbps: int):
    workspace = Workspace.init(tmp_path / "w")
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(16000 * 6), 16000)
    with workspace.catalog() as catalog:
        added(workspace, catalog, tmp_path / "a.wav", chunk_s=5.0, write="mp3", bitrate_kbps=kbps)
    chunk = workspace.audio_dir / "000001.mp3"
    assert _bit_rates(chunk.read_bytes()) == {kbps}


def _bit_rates(mp3: bytes) -> set[int]:
    """Of every frame, in kbit/s, as its header says: MPEG-2, layer III (ISO 13818-3, table of bit rates)."""
    table = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    found, at = set(), mp3.index(b"\xff\xf3")
    while at < len(mp3) and mp3[at : at + 2] == b"\xff\xf3":
        kbps = table[mp3[at + 2] >> 4]
        found.add(kbps)
        at += 72 * kbps * 1000 // 16000 + (mp3[at + 2] >> 1 & 1)
    assert at == len(mp3)
    return found


def test_a_rate_at_which_mp3_knows_no_such_bit_rate_is_the_files_own_trouble(tmp_path: Path):
    workspace = Workspace.init(tmp_path / "w")
    with workspace.catalog() as catalog:
        done = added(workspace, catalog, sound(tmp_path / "a.wav", 2.0, 1), chunk_s=1.0, write="mp3", bitrate_kbps=96)
    assert [str(error.reason) for error in done.quarantined] == ["unsupported"]
    assert "96 kbit/s at 8000 Hz; MP3 takes 8 to 64 there" in str(done.quarantined[0])


def test_a_workspace_does_not_add_its_own_chunks(workspace: Workspace, catalog: Catalog, songs: Path):
    added(workspace, catalog, songs, chunk_s=2.0, write="flac")
    inside = shutil.copytree(songs, workspace.root / "songs")
    sound(inside / "new.wav", 2.0, 20)
    done = added(workspace, catalog, workspace.root)
    assert done.recordings == ["songs/new.wav"]  # relative, since it lies in the workspace
    assert len(done.known) == 3


def test_a_queue_folder_is_emptied_into_done_and_bad(workspace: Workspace, catalog: Catalog, songs: Path):
    sound(songs / "deep" / "four.wav", 2.0, 30)
    done = added(workspace, catalog, songs, queue=True)
    assert len(done.recordings) == 4
    left = sorted(path.relative_to(songs).as_posix() for path in songs.rglob("*.wav"))
    assert left == ["bad/broken.wav", *(f"done/band{i}_song.wav" for i in range(3)), "done/deep/four.wav"]
    assert all(workspace.path_of(row.uri).is_file() for row in recordings(catalog))
    again = added(workspace, catalog, songs, queue=True)
    assert (again.recordings, again.known, again.quarantined) == ([], [], [])
    # another file of a name that is taken, and the same bytes once more
    sound(songs / "band0_song.wav", 2.0, 31)
    shutil.copy(songs / "done/band1_song.wav", songs / "band1_song.wav")
    third = added(workspace, catalog, songs, queue=True)
    assert [Path(uri).name for uri in third.recordings] == ["band0_song (2).wav"]
    assert sorted(path.name for path in (songs / "done").glob("*.wav")) == [
        *("band0_song (2).wav", "band0_song.wav", "band1_song (2).wav", "band1_song.wav", "band2_song.wav"),
    ]


def test_a_file_that_was_moved_keeps_its_clips_and_is_found_by_its_new_path(
    workspace: Workspace, catalog: Catalog, songs: Path
):
    added(workspace, catalog, songs, chunk_s=1.0)
    before, clips = {row.name: row for row in recordings(catalog)}, _clips(catalog)
    (songs / "band0_song.wav").rename(songs / "nadine.wav")
    (songs / "band1_song.wav").rename(songs / "merry.wav")
    sound(songs / "band1_song.wav", 2.0, 40)  # another sound lies there now
    shutil.copy(songs / "band2_song.wav", songs / "again.wav")
    done = added(workspace, catalog, songs, chunk_s=1.0)
    uris = {name: workspace.uri_of(songs / f"{name}.wav") for name in ("merry", "nadine", "band0_song", "band1_song")}
    assert done.moved == [(uris["band1_song"], uris["merry"]), (uris["band0_song"], uris["nadine"])]
    assert done.same == [(str(songs / "again.wav"), before["band2_song.wav"].uri)]
    assert done.recordings == [uris["band1_song"]]
    after = {row.name: row for row in recordings(catalog)}
    assert sorted(after) == ["band1_song.wav", "band2_song.wav", "merry.wav", "nadine.wav"]
    assert after["nadine.wav"] == (
        *before["band0_song.wav"][:1],
        uris["nadine"],
        "nadine.wav",
        *before["band0_song.wav"][3:],
    )
    assert [clip.id for clip in _clips(catalog)][: len(clips)] == [clip.id for clip in clips]
    again = added(workspace, catalog, songs, chunk_s=1.0)
    assert (again.moved, again.same) == ([], done.same)
    twin = workspace.uri_of(songs / "again.wav")
    assert _duplicates(catalog) == [(twin, before["band2_song.wav"].id)]
    assert (found := status(catalog)).duplicates == 1
    assert found.copies == 0
    # the twin goes into a queue folder's done/, the recording's own file is lost, and last another sound lies there
    added(workspace, catalog, songs / "again.wav")
    (songs / "queue").mkdir()
    (songs / "again.wav").rename(songs / "queue" / "again.wav")
    added(workspace, catalog, songs / "queue", queue=True)
    put = songs / "queue" / "done" / "again.wav"
    assert (twin, before["band2_song.wav"].id) in _duplicates(catalog)
    assert (workspace.uri_of(put), before["band2_song.wav"].id) in _duplicates(catalog)
    (songs / "band2_song.wav").unlink()
    assert added(workspace, catalog, put).moved == [(before["band2_song.wav"].uri, workspace.uri_of(put))]
    assert _duplicates(catalog) == [(twin, before["band2_song.wav"].id)]
    sound(songs / "again.wav", 2.0, 41)
    assert added(workspace, catalog, songs / "again.wav", chunk_s=1.0).recordings == [twin]
    assert _duplicates(catalog) == []


def _duplicates(catalog: Catalog) -> list[tuple[str, int]]:
    with catalog.read() as connection:
        query = sa.select(Duplicate.uri, Duplicate.recording_id).order_by(Duplicate.uri)
        return [(row.uri, row.recording_id) for row in connection.execute(query)]


def test_a_recording_goes_along_when_its_folder_is_emptied(workspace: Workspace, catalog: Catalog, songs: Path):
    added(workspace, catalog, songs)
    done = added(workspace, catalog, songs, queue=True)
    assert (done.recordings, done.same, len(done.moved)) == ([], [], 3)
    assert [row.uri for row in recordings(catalog)] == [
        workspace.uri_of(songs / "done" / f"band{i}_song.wav") for i in range(3)
    ]
    assert all(workspace.path_of(row.uri).is_file() for row in recordings(catalog))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chunk_s": 0.001}, r"clips of 0\.001 s: expected 0\.02 s to a day"),
        ({"chunk_s": 1.0, "hop_s": 2.0}, r"a clip every 2 s: expected 0\.02 s up to the length of a clip"),
        ({"hop_s": 2.0}, r"a clip every 2 s"),
        ({"write": "wav"}, r"chunk files need a length"),
        ({"write": "ogg", "chunk_s": 1.0, "bitrate_kbps": 96}, r"a bit rate is of chunk files in mp3"),
        ({"bitrate_kbps": 96}, r"a bit rate is of chunk files in mp3"),
        ({"write": "mp3", "chunk_s": 1.0, "bitrate_kbps": 400}, r"--bitrate 400: mp3 takes 8 to 320 kbit/s"),
        ({"write": "doc", "chunk_s": 1.0}, r"chunk files in 'doc': choose one of wav, mp3, flac, ogg"),
        ({"group_by": ["("]}, r"--group-by '\(' is no regular expression"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, options: dict, said: str):
    workspace = Workspace.init(tmp_path / "w")
    with workspace.catalog() as catalog, pytest.raises(InputError, match=said):
        added(workspace, catalog, sound(tmp_path / "a.wav", 1.0, 1), **options)


def test_no_audio_at_all_is_refused_and_an_empty_queue_is_not(tmp_path: Path):
    workspace = Workspace.init(tmp_path / "w")
    (tmp_path / "empty").mkdir()
    with workspace.catalog() as catalog:
        with pytest.raises(InputError, match=r"empty: no audio file was found there"):
            added(workspace, catalog, tmp_path / "empty")
        assert added(workspace, catalog, tmp_path / "empty", queue=True).recordings == []
        with pytest.raises(CatalogError, match=r"a\.wav is no folder: --queue empties folders"):
            added(workspace, catalog, sound(tmp_path / "a.wav", 1.0, 1), queue=True)


def test_a_rate_that_the_chunk_format_does_not_know_is_the_files_own_trouble(tmp_path: Path):
    workspace = Workspace.init(tmp_path / "w")
    soundfile.write(tmp_path / "odd.wav", np.sin(np.arange(9000) / 9), 9000)
    with workspace.catalog() as catalog:
        done = added(workspace, catalog, tmp_path / "odd.wav", chunk_s=0.5, write="mp3")
        assert [(str(error.reason), error.path) for error in done.quarantined] == [
            ("unsupported", str(tmp_path / "odd.wav"))
        ]
        assert list(workspace.audio_dir.iterdir()) == []


# After its first file an adder waits here for the other's, so that they are at it together however the processor
# is shared out: in `meeting` a folder, or nothing for one that adds alone.
MEETING = """
def meet(take):
    def taken(run, *of):
        take(run, *of)
        mine = Path(meeting) / str(os.getpid())
        end = time.monotonic() + 60
        mine.touch()
        while len(list(mine.parent.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    return taken
if meeting:
    adding._Run.take = meet(adding._Run.take)
"""


def _started(
    workspace: Workspace, *paths: Path, queue: bool = True, meeting: Path | None = None
) -> subprocess.Popen[bytes]:
    """A process that says `open`, adds once it is sent a line, and says how many were new and how many known."""
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from earmark.catalog import adding\n"
        "from earmark.catalog.database import Workspace\n"
        "root, url, queue, meeting, *paths = sys.argv[1:]\n"
        f"{MEETING}\n"
        "workspace = Workspace.open(Path(root), url or None)\n"
        "with workspace.catalog() as catalog:\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    options = dict(chunk_s=1.0, write='wav', queue=queue == 'True', workers=2, timeout_s=60)\n"
        "    done = adding.add(workspace, catalog, paths, **options)\n"
        "    print(len(done.recordings), len(done.known), len(done.quarantined), flush=True)\n"
    )
    url = "" if (workspace.root / "catalog.db").exists() else workspace.url
    where = "" if meeting is None else str(meeting)
    command = [sys.executable, "-c", code, str(workspace.root), url, str(queue), where, *map(str, paths)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _go(*processes: subprocess.Popen[bytes]) -> None:
    """All at once, when all are open."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()


def test_two_that_add_at_once_add_everything_once(workspace: Workspace, catalog: Catalog, tmp_path: Path):
    """One from the first file on, the other from the last; they meet."""
    files = [sound(tmp_path / "many" / f"{i:02d}.wav", 2.0, 100 + i) for i in range(16)]
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    processes = [_started(workspace, *order, queue=False, meeting=meeting) for order in (files, files[::-1])]
    _go(*processes)
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    (new, known, bad), (other_new, other_known, other_bad) = [map(int, words) for words in said]
    assert (new + other_new, known + other_known, bad, other_bad) == (16, 16, 0, 0)
    assert min(new, other_new) > 0  # they were at it together
    clips = _clips(catalog)
    assert sorted(clip.chunk_id for clip in clips) == [f"{n:06d}" for n in range(1, 33)]
    assert sorted(path.name for path in workspace.audio_dir.iterdir()) == sorted(f"{c.chunk_id}.wav" for c in clips)
    assert sorted(row.name for row in recordings(catalog)) == [path.name for path in files]
    _check_whole(workspace, catalog)


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_an_add_that_is_killed_leaves_whole_files_or_nothing_and_the_next_goes_on(
    workspace: Workspace, catalog: Catalog, tmp_path: Path, kills: int
):
    """kill -9 at random moments of emptying a queue folder with chunk files; then one run to the end."""
    folder = tmp_path / "queue"
    names = [f"{i:02d}.wav" for i in range(24)]
    for i, name in enumerate(names):
        sound(folder / name, 2.0 + i % 3, 200 + i)
    rng = random.Random(kills)
    for _ in range(kills):
        process = _started(workspace, folder)
        _go(process)
        _wait_for(catalog, rng.randrange(4))
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _check_whole(workspace, catalog)
    process = _started(workspace, folder)
    _go(process)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    _check_whole(workspace, catalog)
    assert sorted(row.name for row in recordings(catalog)) == names
    assert sorted(path.name for path in (folder / "done").iterdir()) == names
    assert list(folder.glob("*.wav")) == []
    clips = _clips(catalog)
    assert [clip.chunk_id for clip in clips] == [f"{n:06d}" for n in range(1, len(clips) + 1)]
    assert sorted(path.name for path in workspace.audio_dir.iterdir()) == sorted(f"{c.chunk_id}.wav" for c in clips)


def _wait_for(catalog: Catalog, more: int) -> None:
    """Until so many recordings have come in, so that the moment falls into the work however slow the machine is."""
    wanted = len(recordings(catalog)) + more
    end = time.monotonic() + 60
    while len(recordings(catalog)) < wanted and time.monotonic() < end:
        time.sleep(0.01)


def _check_whole(workspace: Workspace, catalog: Catalog) -> None:
    """Every recording has all its clips, in the index and on the disk."""
    clips = _clips(catalog)
    with catalog.read() as connection:
        keyed = set(connection.execute(sa.select(FingerprintKey.recording_id).distinct()).scalars())
    for row in recordings(catalog):
        mine = [clip for clip in clips if clip.recording_id == row.id]
        assert [clip.start for clip in mine] == list(range(0, row.frames, RATE_HZ))
        assert row.id in keyed
        for clip in mine:
            assert len(audio.read(workspace.path_of(clip.file)).samples) == clip.stop - clip.start


def test_the_order_is_that_of_the_paths_though_a_long_file_ends_last(
    workspace: Workspace, catalog: Catalog, tmp_path: Path
):
    folder = tmp_path / "songs"
    sound(folder / "a.wav", 120.0, 0)
    shutil.copy(sound(folder / "b.wav", 1.0, 1), folder / "c.wav")
    with (folder / "c.wav").open("ab") as file:
        file.write(b"LIST\x04\x00\x00\x00INFO")  # other bytes, the same sound
    sound(folder / "d.wav", 1.0, 2)
    done = added(workspace, catalog, folder, chunk_s=60.0)
    assert [Path(uri).name for uri in done.recordings] == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert [tuple(Path(uri).name for uri in pair) for pair in done.copies] == [("c.wav", "b.wav")]
    with catalog.read() as connection:
        names = connection.execute(sa.select(Recording.name).order_by(Recording.id)).scalars().all()
    assert names == ["a.wav", "b.wav", "c.wav", "d.wav"]
