from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.kernelside.spool import SMALL_MESSAGE, SMALL_RESERVE, Pending, Spool, pack, read_pending, read_spool

MESSAGES = st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=8), max_size=10)


def test_messages_come_back_in_order(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    spool.append([b"topic", b"", b"one"])
    spool.append([b"two"])
    assert read_spool(tmp_path / "spool") == [[b"topic", b"", b"one"], [b"two"]]


def test_a_new_cell_forgets_the_old_one(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    spool.append([b"old"])
    spool.clear()
    spool.append([b"new"])
    assert read_spool(tmp_path / "spool") == [[b"new"]]


@given(MESSAGES, st.data())
def test_a_torn_end_costs_the_last_message_only(messages: list[list[bytes]], data: st.DataObject) -> None:
    whole = b"".join(pack(frames) for frames in messages)
    cut = data.draw(st.integers(0, len(whole)))
    path = Path("torn")
    path.write_bytes(whole[:cut])
    read = read_spool(path)
    assert read == messages[: len(read)]
    assert len(b"".join(pack(frames) for frames in messages[: len(read) + 1])) > cut or len(read) == len(messages)


@given(st.binary(max_size=200))
def test_garbage_never_raises(garbage: bytes) -> None:
    path = Path("garbage")
    path.write_bytes(garbage)
    assert isinstance(read_spool(path), list)


def test_when_it_is_full_small_messages_still_fit(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"), limit=10_000)
    spool.append([b"x" * 9_000])
    spool.append([b"y" * 9_000])
    spool.append([b"idle"])
    assert read_spool(tmp_path / "spool") == [[b"x" * 9_000], [b"idle"]]
    assert spool.dropped == 1


def test_small_messages_are_bounded_too(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"), limit=0)
    for _ in range(2 * SMALL_RESERVE // SMALL_MESSAGE):
        spool.append([b"s" * (SMALL_MESSAGE - 100)])
    assert (tmp_path / "spool").stat().st_size <= SMALL_RESERVE
    assert spool.dropped > 0


def test_a_link_in_place_of_the_spool_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(pack([b"secret"]))
    (tmp_path / "spool").symlink_to(tmp_path / "secret")
    assert read_spool(tmp_path / "spool") == []
    assert read_pending(tmp_path / "spool") == ""


def test_pending_text_survives_until_it_is_published(tmp_path: Path) -> None:
    pending = Pending(str(tmp_path / "pending"))
    pending.add("grün ")
    pending.add("und rot")
    assert read_pending(tmp_path / "pending") == "grün und rot"
    pending.clear()
    assert read_pending(tmp_path / "pending") == ""


def test_pending_text_is_bounded(tmp_path: Path) -> None:
    pending = Pending(str(tmp_path / "pending"))
    for _ in range(100):
        pending.add("ä" * 5_000)
    assert 0 < len(read_pending(tmp_path / "pending").encode()) <= 64 * 1024
