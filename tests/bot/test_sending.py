from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from bot.sending import TooLargeError, to_send
from bot.uploads import MAX_FILES, Upload, archives, of_bytes, pack


def test_files_are_packed_by_number_and_by_bytes() -> None:
    ones = [of_bytes(f"{n}", b"x") for n in range(MAX_FILES + 1)]
    assert [len(batch) for batch in pack(ones, 100).batches] == [MAX_FILES, 1]
    assert [len(batch) for batch in pack(ones[:4], 2).batches] == [2, 2]
    assert pack([of_bytes("a.zip", b"xxx")], 2).too_large == (of_bytes("a.zip", b"xxx"),)


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
        return None if file is None else file.fp.read()

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
