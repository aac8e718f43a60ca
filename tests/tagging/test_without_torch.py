"""A Tagger in an environment that has no torch: the package as `pip install earmark` leaves it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_plain_install_tags_and_has_no_torch(toy, tmp_path: Path):
    sf.write(tmp_path / "x.wav", np.random.default_rng(0).normal(0, 0.1, 20_000).astype(np.float32), 8000)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], capture_output=True, text=True)
    assert install.returncode == 0, install.stderr

    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True)
    packages = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    assert "earmark" in packages
    assert packages.isdisjoint({"torch", "lightning", "librosa", "scikit-learn", "scipy", "matplotlib", "onnx"})

    command = [tmp_path / "venv" / "bin" / "earmark", "tag", toy.bundle.path, tmp_path / "x.wav"]
    there = subprocess.run([*command, "--format", "csv", "--all"], capture_output=True, text=True, cwd=tmp_path)
    assert there.returncode == 0, there.stderr
    here = subprocess.run(
        [sys.executable, "-m", "earmark.cli.main", *map(str, command[1:]), "--format", "csv", "--all"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout == here.stdout
    code = (
        "import sys, earmark; earmark.load(sys.argv[1]).tag(sys.argv[2]).to_frame(); assert 'torch' not in sys.modules"
    )
    subprocess.run([python, "-c", code, toy.bundle.path, tmp_path / "x.wav"], check=True, cwd=tmp_path)
