from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from earmark.errors import InputError
from earmark.settings import check_seconds, limit_native_threads, load_settings


def test_what_is_set_is_taken():
    found = load_settings({"EARMARK_CACHE_DIR": "/c", "EARMARK_WORKERS": "3", "EARMARK_DECODE_TIMEOUT": "0.5"})
    assert (found.cache_dir, found.workers, found.decode_timeout_s) == (Path("/c"), 3, 0.5)
    assert load_settings({"XDG_CACHE_HOME": "/x"}).cache_dir == Path("/x/earmark")
    assert load_settings({"XDG_CACHE_HOME": "", "HOME": "/h"}).cache_dir == Path("/h/.cache/earmark")


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "0", "", "soon"])
def test_a_time_limit_is_finite_and_above_0(value: str):
    with pytest.raises(InputError, match=r"EARMARK_DECODE_TIMEOUT=.*expected a number above 0"):
        load_settings({"EARMARK_DECODE_TIMEOUT": value})


@pytest.mark.parametrize("value", ["inf", "2.5", "0", "9" * 400])
def test_workers_are_counted(value: str):
    with pytest.raises(InputError, match=r"EARMARK_WORKERS=.*a whole number above 0"):
        load_settings({"EARMARK_WORKERS": value})


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_cache_folder_is_not_the_current_one(value: str):
    with pytest.raises(InputError, match=r"EARMARK_CACHE_DIR is empty: expected a folder"):
        load_settings({"EARMARK_CACHE_DIR": value})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0, -2.0])
def test_seconds_are_checked_wherever_they_come_from(value: float):
    assert check_seconds("--timeout", 2.0) == 2.0
    with pytest.raises(InputError, match=r"--timeout is .*: expected seconds"):
        check_seconds("--timeout", value)


def test_the_database_is_in_the_workspace_unless_a_url_says_otherwise():
    assert load_settings({}).database_url is None
    assert load_settings({"EARMARK_DATABASE_URL": "postgresql://h/n"}).database_url == "postgresql://h/n"


def test_an_empty_database_url_is_not_the_workspace():
    with pytest.raises(InputError, match=r"EARMARK_DATABASE_URL is empty: expected postgresql://"):
        load_settings({"EARMARK_DATABASE_URL": " "})


_PAGES = """
import resource, sys
from earmark.settings import keep_freed_memory
import numpy as np
if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(64 << 20, dtype=np.uint8).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_freed_memory_is_used_again_where_it_would_go_back_to_the_kernel():
    env = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}  # of which one fault brings 512 pages
    faults = {
        how: int(subprocess.run([sys.executable, "-c", _PAGES, how], capture_output=True, check=True, env=env).stdout)
        for how in ("keep", "give")
    }
    assert faults["give"] >= 10 * 1000 > 1000 > faults["keep"]


def test_native_threads_wait_as_the_user_says(monkeypatch: pytest.MonkeyPatch):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    limit_native_threads(3)
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]) == ("active", "3")
    assert "GOMP_SPINCOUNT" not in os.environ  # which would win over what the user said
    monkeypatch.delenv("OMP_WAIT_POLICY")
    limit_native_threads(3)
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("passive", "2000")
