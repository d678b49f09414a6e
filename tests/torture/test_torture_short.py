"""The short form of `python -m tools.torture`: a few cases of every kind, none of them lost."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 550


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    command = [sys.executable, "-m", "tools.torture", "--quick", "--output", tmp_path / "table.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = re.findall(
        r"^\| .+? \| ([\d,]+) \| ([\d,]+) \| (\d+) \|", (tmp_path / "table.md").read_text(), re.M
    )
    assert len(rows) == 9
    assert all(tried == survived and lost == "0" for tried, survived, lost in rows)
    assert sum(int(tried.replace(",", "")) for tried, _, _ in rows) > 300
