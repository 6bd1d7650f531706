"""How much of the service's time a kernel's messages may take."""

from __future__ import annotations

import pytest

from kernel_manager.execution.allowance import BURST_S, SHARE, Allowance


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def allowance(clock: Clock) -> Allowance:
    return Allowance(clock)


def spend(allowance: Allowance, clock: Clock, seconds: float) -> None:
    with allowance.spending():
        clock.now += seconds


def raise_late(clock: Clock) -> None:
    clock.now += 2 * BURST_S
    raise TimeoutError


def test_it_lasts_for_a_burst(allowance: Allowance, clock: Clock) -> None:
    spend(allowance, clock, BURST_S / 2)
    assert (allowance.is_spent, allowance.back_in) == (False, 0)
    spend(allowance, clock, BURST_S)
    assert allowance.is_spent


def test_it_comes_back_in_time(allowance: Allowance, clock: Clock) -> None:
    spend(allowance, clock, BURST_S + 5)
    wait = allowance.back_in
    clock.now += wait - 0.01
    assert allowance.is_spent
    clock.now += 0.02
    assert not allowance.is_spent


def test_it_never_grows_beyond_a_burst(allowance: Allowance, clock: Clock) -> None:
    clock.now += 10_000
    spend(allowance, clock, BURST_S * (1 + SHARE) + 0.01)
    assert allowance.is_spent


def test_what_fails_counts_too(allowance: Allowance, clock: Clock) -> None:
    with pytest.raises(TimeoutError), allowance.spending():
        raise_late(clock)
    assert allowance.is_spent
