from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from bot.downloads import downloads_folder
from kernel_manager.errors import StorageError

ROOT = Path(__file__).parents[2]
KILLED = """
import asyncio, os, sys
from pathlib import Path
from bot.downloads import downloads_folder

async def main():
    async with downloads_folder(Path(sys.argv[1])) as folder:
        (folder / "half.csv").write_text("a,b")
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()]


async def test_a_folder_goes_with_its_process_and_what_is_in_it(tmp_path: Path) -> None:
    root = tmp_path / "downloads"
    async with downloads_folder(root) as folder:
        (folder / "a.csv").write_text("a,b")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert folders(root) == []


async def test_what_a_killed_process_left_goes_and_what_a_live_one_downloads_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.downloads")
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "d")]
    subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert len(folders(tmp_path / "d")) == 1
    async with downloads_folder(tmp_path / "d") as first:
        assert "removed 1 downloads" in caplog.text
        assert folders(tmp_path / "d") == [first]
        (first / "a.csv").write_text("a,b")
        async with downloads_folder(tmp_path / "d") as second:
            assert (first / "a.csv").exists()
            assert second != first


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write below"):
        async with downloads_folder(tmp_path / "d"):
            pass
