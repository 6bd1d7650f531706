"""When a SIGINT raises, when it is kept for the cell's first statement, and when it is dropped."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from kernel_manager.kernelside.interrupts import Interrupts


def within(work: Callable[[], object]) -> None:
    """What an interrupt may leave by an exception."""
    work()


def around(work: Callable[[], object]) -> None:
    """What calls it."""
    work()


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Interrupts that handle this process's SIGINT for the time of a test."""
    made = Interrupts(within.__code__, around.__code__)
    before = made.install()
    yield made
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_without_a_cell_it_is_dropped(interrupts: Interrupts) -> None:
    interrupt()
    interrupts.accept()
    interrupts.begin()


def test_a_request_that_is_no_cell_is_ended(interrupts: Interrupts) -> None:
    interrupts.serve(True)
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    interrupts.serve(False)
    interrupt()


def test_between_acceptance_and_the_first_statement_it_is_kept_for_that(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.serve(True)
    around(interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupts.begin()


def test_while_code_runs_it_raises_and_what_the_code_makes_of_that_is_its_own(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.begin()
    with pytest.raises(KeyboardInterrupt):
        around(lambda: within(interrupt))
    interrupts.begin()


def test_on_a_stack_of_the_codes_own_it_raises(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.begin()
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_after_the_code_it_is_dropped(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.begin()
    around(interrupt)
    interrupts.over()
    interrupt()
    interrupts.accept()
    interrupts.begin()


def test_one_that_was_swallowed_before_the_first_statement_is_not_lost(interrupts: Interrupts) -> None:
    interrupts.accept()
    with pytest.raises(KeyboardInterrupt):
        within(interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupts.begin()


async def test_code_that_waits_is_cancelled(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.begin()
    waits = asyncio.ensure_future(asyncio.Event().wait())
    interrupts.task = waits
    asyncio.get_running_loop().call_soon(interrupts.handle, signal.SIGINT, _outermost())
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert interrupts.cancelled


async def test_a_coroutine_that_runs_gets_an_exception(interrupts: Interrupts) -> None:
    interrupts.accept()
    interrupts.begin()
    interrupts.task = asyncio.get_running_loop().create_future()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert not interrupts.cancelled


def _outermost() -> FrameType:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame
