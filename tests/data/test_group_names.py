"""Names that look like parts of one recording, without crying wolf."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark import layouts
from earmark.data.group_names import suggest_groups
from earmark.data.manifest import Item, Manifest, build
from earmark.data.splits import group_by


def named(folder: Path, names: dict[str, list[str]]) -> Manifest:
    items = []
    for tag, files in names.items():
        for file in files:
            (folder / tag).mkdir(exist_ok=True)
            (folder / tag / file).write_bytes(b"x")
            items.append(Item(folder / tag / file, (tag,)))
    return build(items, root=folder, layout="folder")


def test_the_five_drone_recordings_are_seen(data_dir: Path) -> None:
    manifest = layouts.read(data_dir / "drone_car_speech")
    (suggestion,) = suggest_groups(manifest)
    assert suggestion.tag == "drone"
    assert dict(suggestion.prefixes) == {
        "B_S2_D1": 133,
        "extra_membo_D2": 56,
        "Membo_0": 50,
        "Membo_1": 36,
        "Membo_2": 24,
    }
    assert "--group-by 'drone=^(" in suggestion.message
    grouped = group_by(manifest, [suggestion.pattern])
    assert grouped.rows["group"][grouped.rows["group_is_given"]].nunique() == 5


@pytest.mark.parametrize("name", ["animals", "notes", "instruments"])
def test_no_false_alarm(data_dir: Path, name: str) -> None:
    assert suggest_groups(layouts.read(data_dir / name)) == []


def test_urbansound_without_its_groups_gets_its_recordings_back(data_dir: Path) -> None:
    manifest = layouts.read(data_dir / "urbansound8k")
    assert suggest_groups(manifest) == []  # fsID is given
    bare = manifest.with_rows(group=manifest.rows["recording"], group_is_given=False)
    found = {suggestion.tag: dict(suggestion.prefixes) for suggestion in suggest_groups(bare)}
    assert found["jackhammer"]["180937-7"] == 79


def test_files_that_belong_to_none_keep_their_own_group(tmp_path: Path) -> None:
    files = [f"tape_{take}_{part:02}.wav" for take in (1, 2) for part in range(6)] + ["other.wav", "more.wav"]
    manifest = named(tmp_path, {"owl": files, "wind": ["w.wav"]})
    (suggestion,) = suggest_groups(manifest)
    assert suggestion.pattern == "owl=^(tape_1|tape_2)|.+"
    groups = set(group_by(manifest, [suggestion.pattern]).rows["group"])
    assert groups == {"owl:tape_1", "owl:tape_2", "owl:other.wav", "owl:more.wav", "wind/w.wav"}


@pytest.mark.parametrize(
    "files",
    [
        [f"owl_{i}.wav" for i in range(20)],  # a counter
        [f"{i:08x}.wav" for i in range(20)],  # hashes
        [f"tape_1_{i}.wav" for i in range(20)],  # all alike: the class would be one group, which helps nobody
        [f"tape_{i}_{i}.wav" for i in range(20)],  # every name its own
    ],
)
def test_plain_counters_are_no_parts(tmp_path: Path, files: list[str]) -> None:
    assert suggest_groups(named(tmp_path, {"owl": files, "wind": ["w.wav"]})) == []


def test_what_the_whole_set_shares_is_its_name_not_a_recording(tmp_path: Path) -> None:
    names = {tag: [f"set2019_{half}_{i}.wav" for half in "ab" for i in range(8)] for tag in ("owl", "wind")}
    assert suggest_groups(named(tmp_path, names)) == []


def test_clips_of_one_file_are_no_parts(tmp_path: Path) -> None:
    (tmp_path / "tape_1_2.wav").write_bytes(b"x")
    (tmp_path / "tape_3_4.wav").write_bytes(b"x")
    items = [
        Item(tmp_path / f"tape_{t}.wav", ("owl",), start_s=i, stop_s=i + 1) for i in range(9) for t in ("1_2", "3_4")
    ]
    assert suggest_groups(build(items, root=tmp_path, layout="manifest")) == []
