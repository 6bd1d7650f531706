"""The turn of the README: as text, and drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.bot.demo_turn import SNAPSHOTS, demo_posts
from tests.bot.looks import look
from tools import turn_picture


def test_a_turn_looks_like_its_snapshot() -> None:
    assert look(demo_posts()) == (SNAPSHOTS / "turn.txt").read_text().rstrip("\n")


def test_a_turn_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "turn.png"
    monkeypatch.setattr(sys, "argv", ["turn_picture", str(target)])
    turn_picture.main()
    with Image.open(target) as image:
        assert image.width == turn_picture.WIDTH * turn_picture.SCALE
        assert image.height > image.width
