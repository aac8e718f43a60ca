"""`earmark catalog add` is killed as the benchmark does it, a few times; and what the benchmark would find is found."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks import catalog_faults

from earmark.catalog.adding import add
from earmark.catalog.database import Workspace
from earmark.catalog.tables import Clip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("write", [None, "flac"])
def test_an_add_that_is_killed_leaves_nothing_half_added(tmp_path: Path, write: str | None) -> None:
    found = catalog_faults.kill_again_and_again(tmp_path, 4, write=write, files=30)
    assert (found.kills, found.wrong) == (4, [])


def test_what_is_half_added_would_be_seen(tmp_path: Path) -> None:
    catalog_faults.make_sounds(tmp_path / "songs", 3)
    workspace = Workspace.init(tmp_path / "w")
    with workspace.catalog() as catalog:
        add(workspace, catalog, [tmp_path / "songs"], chunk_s=1.0, write="wav", workers=1, timeout_s=60)
        assert catalog_faults._half_added(workspace.root) == []
        assert catalog_faults._not_once(workspace.root, 3, "wav") == []
        with catalog.write() as connection:
            connection.execute(sa.delete(Clip).where(Clip.chunk_id == "000002"))
    shutil.copy(workspace.audio_dir / "000002.wav", workspace.audio_dir / "000099.wav")
    (workspace.audio_dir / "000001.wav").write_bytes((workspace.audio_dir / "000001.wav").read_bytes()[:8000])
    half = " ".join(catalog_faults._half_added(workspace.root))
    assert "000.wav has the clips [(0, 8000)]" in half
    assert "audio/000001.wav is not the whole clip" in half
    once = " ".join(catalog_faults._not_once(workspace.root, 4, "wav"))
    assert "there are 3 recordings" in once
    assert "chunks are not numbered one after the other" in once
    assert "audio/ holds" in once
