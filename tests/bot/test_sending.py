from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from bot.sending import TooLargeError, each_once, to_send
from bot.uploads import MAX_FILES, Upload, archives, of_bytes, pack


def test_files_are_packed_by_number_and_by_bytes() -> None:
    ones = [of_bytes(f"{n}", b"x") for n in range(MAX_FILES + 1)]
    assert [len(batch) for batch in pack(ones, 100).batches] == [MAX_FILES, 1]
    assert [len(batch) for batch in pack(ones[:4], 2).batches] == [2, 2]
    assert pack([of_bytes("a.zip", b"xxx")], 2).too_large == (of_bytes("a.zip", b"xxx"),)


def test_a_request_may_have_exactly_the_limit() -> None:
    halves = [Upload(f"{n}.png", b"", 5 * 2**20) for n in range(2)]
    assert [len(batch) for batch in pack(halves, 10 * 2**20).batches] == [2]
    assert [len(batch) for batch in pack([*halves, of_bytes("one", b"x")], 10 * 2**20).batches] == [2, 1]
    assert pack([Upload("a.png", b"", 10 * 2**20 + 1)], 10 * 2**20).batches == ()


def test_an_archive_goes_alone_because_nobody_knows_its_size_yet() -> None:
    batches = pack([of_bytes("a", b"x"), of_bytes("b.txt", b"xxx"), of_bytes("c", b"x")], 2).batches
    assert [[upload.filename for upload in batch] for batch in batches] == [["a"], ["b.txt.zip"], ["c"]]


def test_archives_are_few_and_within_the_limit() -> None:
    made, left_out = archives([of_bytes(f"{n}", b"x" * 60) for n in range(8)] + [of_bytes("big", b"x" * 95)], "all", 100)
    assert [upload.filename for upload in made] == [f"all-{n}.zip" for n in range(1, 6)]
    assert len(left_out) == 4


class TestWhatTheCodeWrote:
    def read(self, upload: Upload, folder: Path) -> bytes | None:
        file = to_send(upload, folder)
        return None if file is None else file.file.fp.read()

    def test_is_read_as_long_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("abc and more since")
        assert self.read(Upload("a.txt", tmp_path / "a.txt", 3), tmp_path) == b"abc"

    @pytest.mark.parametrize("kind", ["gone", "link", "folder", "fifo", "outside", "hard link"])
    def test_is_left_out_if_it_is_no_plain_file(self, tmp_path: Path, kind: str) -> None:
        secret, folder = tmp_path / "secret", tmp_path / "w"
        secret.write_text("secret")
        folder.mkdir()
        path = folder / "a"
        match kind:
            case "link":
                path.symlink_to(secret)
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "outside":
                path = folder / ".." / "secret"
            case "hard link":
                os.link(secret, path)
        assert self.read(Upload("a", path, 6), folder) is None

    def test_is_compressed_as_an_archive(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("x" * 100_000)
        member = Upload("a.txt", tmp_path / "a.txt", 100_000)
        content = self.read(Upload("a.zip", (member, member, of_bytes("b", b"y")), 1_000), tmp_path)
        with zipfile.ZipFile(io.BytesIO(content or b"")) as archive:
            assert archive.namelist() == ["a.txt", "2-a.txt", "b"]
            assert archive.read("2-a.txt") == b"x" * 100_000

    def test_that_compressing_does_not_help_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(os.urandom(10_000))
        with pytest.raises(TooLargeError):
            self.read(Upload("a.zip", (Upload("a.bin", tmp_path / "a.bin", 10_000),), 5_000), tmp_path)


def test_a_figure_and_the_file_that_it_was_saved_as_are_sent_once(tmp_path: Path) -> None:
    for name, content in {"saved.png": b"figure", "a.txt": b"same", "b.txt": b"same"}.items():
        (tmp_path / name).write_bytes(content)
    figure = to_send(of_bytes("figure-1.png", b"figure"), tmp_path)
    saved, one, other = (to_send(Upload(name, tmp_path / name, 6), tmp_path) for name in ("saved.png", "a.txt", "b.txt"))
    figures: set[str] = set()
    assert [file.filename for file in each_once([figure, None, saved], figures)] == ["saved.png"]
    assert each_once([saved], figures) == []
    assert [file.filename for file in each_once([one, other], figures)] == ["a.txt", "b.txt"]
