from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernel_manager.errors import StorageError
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.provisioning.live_kernel import ExitReport
from kernel_manager.provisioning.runtime import KernelFolder
from kernel_manager.sessions import history as log
from kernel_manager.sessions.ending import bury
from kernel_manager.sessions.history import History, KernelEnded, read_log
from kernel_manager.sessions.kernel_record import KernelRecord
from kernel_manager.sessions.places import SessionPlaces

RECORD = KernelRecord("0123456789ab", "g-1", 12.5, used=True, lost_cause="why")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "kernel.json")
    assert KernelRecord.read(tmp_path / "kernel.json") == RECORD
    KernelRecord().write(tmp_path / "kernel.json")
    assert KernelRecord.read(tmp_path / "kernel.json") == KernelRecord()
    assert not (tmp_path / "kernel.new").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kernel_id": 1}', "\ud800".encode("utf-8", "surrogatepass")])
def test_what_cannot_be_read_is_a_session_without_a_kernel(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "kernel.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert KernelRecord.read(path) == KernelRecord()
    assert KernelRecord.read(tmp_path / "missing") == KernelRecord()


_CHANGES = [
    (("auto", False), ("auto", False), False),
    (("auto", False), ("none", True), False),
    (("strict", True), ("auto", True), False),
    (("auto", True), ("auto", False), True),
    (("none", False), ("auto", False), True),
    (("auto", False), ("strict", False), True),
    (("odd", False), ("auto", False), True),
]


@pytest.mark.parametrize(("own", "wanted", "expected"), _CHANGES)
def test_settings_that_allow_less_are_told_from_those_that_allow_more(
    own: tuple[str, bool], wanted: tuple[str, bool], expected: bool
) -> None:
    assert KernelRecord("a", sandbox=own[0], network=own[1]).allows_more_than(*wanted) is expected


def test_a_kernel_whose_record_does_not_tell_is_thought_to_be_free(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    path.write_text('{"kernel_id": "a", "generation": "g", "started_at": 1, "used": true, "lost_cause": null}')
    assert KernelRecord.read(path).kernel_id == "a"
    assert KernelRecord.read(path).allows_more_than("auto", False)


def test_a_record_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        RECORD.write(tmp_path / "missing" / "kernel.json")


# How its end is written down.


class Grave:
    """A session whose kernel has ended."""

    def __init__(self, root: Path, record: KernelRecord) -> None:
        self.places = SessionPlaces(root / "user" / "session")
        self.places.create()
        self.history = History(self.places.history, lambda: datetime(2026, 1, 31, tzinfo=UTC))
        self.history.append(log.SessionCreated("session", "user"))
        self.folder = KernelFolder(root / "k" / "0123456789ab")
        self.folder.path.mkdir(parents=True)
        record.write(self.places.kernel)

    def bury(self, report: ExitReport, *, told: bool = False) -> tuple[KernelRecord, list[KernelEnded]]:
        bury(self.places, self.history, self.folder, report, told=told)
        assert not self.folder.path.exists()
        ended = [entry for entry in read_log(self.places.history).entries if isinstance(entry, KernelEnded)]
        return KernelRecord.read(self.places.kernel), ended


USED = KernelRecord("0123456789ab", "g-1", 12.5, used=True)


def test_an_unexpected_end_is_to_be_told(tmp_path: Path) -> None:
    record, (ended,) = Grave(tmp_path, USED).bury(ExitReport(signal=9))
    assert record.kernel_id is None
    assert record.lost_cause == ended.cause
    assert ended.cause is not None
    assert "SIGKILL" in ended.cause
    assert ended.state_lost


@pytest.mark.parametrize("reason", ["stop", "restart"])
def test_an_end_that_was_asked_for_is_not_told(tmp_path: Path, reason: str) -> None:
    record, (ended,) = Grave(tmp_path, RECORD).bury(ExitReport(signal=9, killed_by=reason))
    assert (record.kernel_id, record.lost_cause, ended.state_lost) == (None, None, True)


def test_an_end_that_a_result_has_told_is_not_told_again(tmp_path: Path) -> None:
    record, _ = Grave(tmp_path, USED).bury(ExitReport(signal=9), told=True)
    assert record.lost_cause is None


def test_the_end_of_an_unused_kernel_is_no_loss_but_an_earlier_loss_is_still_to_be_told(tmp_path: Path) -> None:
    unused = KernelRecord("0123456789ab", "g-1", 12.5, used=False, lost_cause="an earlier one")
    record, (ended,) = Grave(tmp_path, unused).bury(ExitReport(signal=9))
    assert (record.lost_cause, ended.state_lost) == ("an earlier one", False)


def test_a_kernel_is_buried_once_and_the_record_of_another_one_is_left_alone(tmp_path: Path) -> None:
    grave = Grave(tmp_path, USED)
    grave.bury(ExitReport(signal=9))
    successor = KernelRecord("fedcba987654", "g-1", 13.0, used=True)
    successor.write(grave.places.kernel)
    record, ended = grave.bury(ExitReport(signal=9))
    assert record == successor
    assert len(ended) == 1


def test_a_kernel_whose_folder_is_gone_was_reset(tmp_path: Path) -> None:
    grave = Grave(tmp_path, USED)
    grave.folder.remove()
    record, _ = grave.bury(ExitReport())
    assert record.lost_cause == "the machine or its runtime folder was reset"


def test_results_are_not_needed_to_know_that_a_kernel_was_used(tmp_path: Path) -> None:
    grave = Grave(tmp_path, USED)
    grave.history.append(log.CellStarted("a", "x = 1", "m", "0123456789ab"))
    grave.history.append(log.CellFinished.of("a", ExecutionResult("ok"), {}))
    _, (ended,) = grave.bury(ExitReport(exit_code=0))
    assert ended.state_lost
