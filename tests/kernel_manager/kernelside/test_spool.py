from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.kernelside.shared_memory import map_shared
from kernel_manager.kernelside.spool import (
    PENDING_SIZE,
    SMALL_MESSAGE,
    SMALL_RESERVE,
    SPOOL_SIZE,
    Pending,
    Spool,
    pack,
    read_pending,
    read_spool,
)

MESSAGES = st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=8), max_size=10)


def test_messages_come_back_in_order(tmp_path: Path) -> None:
    spool = Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE))
    spool.append([b"topic", b"", b"one"])
    spool.append([b"two"])
    assert read_spool(tmp_path / "spool") == [[b"topic", b"", b"one"], [b"two"]]


def test_a_new_cell_forgets_the_old_one(tmp_path: Path) -> None:
    spool = Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE))
    spool.append([b"old"])
    spool.clear()
    spool.append([b"new"])
    assert read_spool(tmp_path / "spool") == [[b"new"]]


@given(MESSAGES, st.data())
def test_a_torn_end_costs_the_last_message_only(messages: list[list[bytes]], data: st.DataObject) -> None:
    whole = b"".join(pack(frames) for frames in messages)
    cut = data.draw(st.integers(0, len(whole)))
    path = Path("torn")
    path.write_bytes(len(whole).to_bytes(4, "little") + whole[:cut])
    read = read_spool(path)
    assert read == messages[: len(read)]
    assert len(b"".join(pack(frames) for frames in messages[: len(read) + 1])) > cut or len(read) == len(messages)


@given(st.binary(max_size=200))
def test_garbage_never_raises(garbage: bytes) -> None:
    path = Path("garbage")
    path.write_bytes(garbage)
    assert isinstance(read_spool(path), list)


def test_when_it_is_full_small_messages_still_fit(tmp_path: Path) -> None:
    spool = Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE), limit=10_000)
    spool.append([b"x" * 9_000])
    spool.append([b"y" * 9_000])
    spool.append([b"idle"])
    assert read_spool(tmp_path / "spool") == [[b"x" * 9_000], [b"idle"]]
    assert spool.dropped == 1


def test_small_messages_are_bounded_too(tmp_path: Path) -> None:
    spool = Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE), limit=0)
    for _ in range(2 * SMALL_RESERVE // SMALL_MESSAGE):
        spool.append([b"s" * (SMALL_MESSAGE - 100)])
    assert sum(len(pack(frames)) for frames in read_spool(tmp_path / "spool")) <= SMALL_RESERVE
    assert spool.dropped > 0


def test_a_full_spool_is_given_back_to_the_system_by_the_next_cell(tmp_path: Path) -> None:
    spool = Spool(map_shared(str(tmp_path / "spool"), SPOOL_SIZE))
    spool.append([b"x" * 4_000_000])
    assert (tmp_path / "spool").stat().st_blocks * 512 >= 4_000_000
    spool.clear()
    spool.append([b"next"])
    assert (tmp_path / "spool").stat().st_blocks * 512 < 100_000
    assert read_spool(tmp_path / "spool") == [[b"next"]]


def test_who_writes_the_spool_holds_no_descriptor_of_it(tmp_path: Path) -> None:
    memory = map_shared(str(tmp_path / "spool"), SPOOL_SIZE)
    assert not any(fd.is_symlink() and fd.resolve() == tmp_path / "spool" for fd in Path("/proc/self/fd").iterdir())
    assert len(memory) == SPOOL_SIZE


def test_a_length_that_lies_reads_no_more_than_there_is(tmp_path: Path) -> None:
    memory = map_shared(str(tmp_path / "spool"), SPOOL_SIZE)
    Spool(memory).append([b"one"])
    memory[:4] = b"\xff" * 4
    assert read_spool(tmp_path / "spool")[0] == [b"one"]


def test_a_link_in_place_of_the_spool_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(pack([b"secret"]))
    (tmp_path / "spool").symlink_to(tmp_path / "secret")
    assert read_spool(tmp_path / "spool") == []
    assert read_pending(tmp_path / "spool") == ""


def test_pending_text_survives_until_it_is_published(tmp_path: Path) -> None:
    pending = Pending(map_shared(str(tmp_path / "pending"), PENDING_SIZE))
    pending.add("grün ")
    pending.add("und rot")
    assert read_pending(tmp_path / "pending") == "grün und rot"
    pending.clear()
    assert read_pending(tmp_path / "pending") == ""


def test_pending_text_is_bounded(tmp_path: Path) -> None:
    pending = Pending(map_shared(str(tmp_path / "pending"), PENDING_SIZE))
    for _ in range(100):
        pending.add("ä" * 5_000)
    assert 0 < len(read_pending(tmp_path / "pending").encode()) <= 64 * 1024
