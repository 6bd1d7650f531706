from __future__ import annotations

import base64
import stat
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from threadbook.figures import FigureFolder, Picture, picture_of, pixels

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 20, 10)
JPEG = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 4) + b"ab" + b"\xff\xc2" + struct.pack(">HBHH", 8, 8, 30, 40)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def folder(tmp_path: Path) -> FigureFolder:
    return FigureFolder(tmp_path / "figures", lambda: datetime(2026, 1, 31, 9, 30, 5))


@pytest.mark.parametrize(
    ("content", "size"), [(PNG, (640, 480)), (GIF, (20, 10)), (JPEG, (40, 30)), (PNG[:18], None), (JPEG[:9], None), (b"", None)]
)
def test_reads_the_size_from_the_first_bytes(content: bytes, size: tuple[int, int] | None) -> None:
    assert pixels(content) == size


def test_a_jpeg_that_leads_in_circles_has_no_size() -> None:
    assert pixels(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 5_000) is None


@pytest.mark.parametrize(
    ("data", "picture"),
    [
        ({"image/png": encoded(PNG) + "\n", "text/plain": "<Figure>"}, Picture(PNG, ".png", (640, 480))),
        ({"image/svg+xml": ["<svg>", "</svg>"]}, Picture(b"<svg></svg>", ".svg")),
        ({"image/svg+xml": "<svg/>", "image/png": encoded(PNG)}, Picture(PNG, ".png", (640, 480))),
        ({"image/png": "not base64!", "image/svg+xml": "<svg/>"}, Picture(b"<svg/>", ".svg")),
        ({"image/png": 7}, None),
        ({"text/plain": "x"}, None),
    ],
)
def test_takes_the_best_picture_of_a_bundle(data: dict[str, Any], picture: Picture | None) -> None:
    assert picture_of(data) == picture


def test_saves_each_figure_under_a_name_of_its_own(folder: FigureFolder, tmp_path: Path) -> None:
    first, second = folder.save(b"1", ".png"), folder.save(b"2", ".png")
    assert (first, second) == (
        tmp_path / "figures" / "20260131-093005-1.png",
        tmp_path / "figures" / "20260131-093005-2.png",
    )
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")


def test_what_is_saved_is_for_its_owner_only(folder: FigureFolder) -> None:
    path = folder.save(b"1", ".png")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_replaces_what_it_saved(folder: FigureFolder) -> None:
    path = folder.save(b"a longer one", ".png")
    folder.replace(path, b"short")
    assert path.read_bytes() == b"short"


def test_follows_no_link_that_stands_for_the_folder(folder: FigureFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="figures"):
        folder.save(b"1", ".png")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_follows_no_link_that_stands_for_a_figure(folder: FigureFolder, tmp_path: Path) -> None:
    path = folder.save(b"1", ".png")
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(OSError, match=path.name):
        folder.replace(path, b"2")
    assert target.read_bytes() == b"precious"
