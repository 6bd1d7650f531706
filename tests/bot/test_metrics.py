from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.agent.events import AgentEvent, CodeEnded, TextEnded, TurnEnded, TurnUsage
from bot.agent.models.protocol import TokenUsage
from bot.metrics import Metrics
from bot.metrics_server import serving
from kernel_manager import ExecutionResult, SettingsError
from tests.mongo_server import free_port


async def a_turn() -> AsyncIterator[AgentEvent]:
    yield TextEnded("I look.")
    yield CodeEnded(1, ExecutionResult("ok", duration_s=0.2))
    yield CodeEnded(2, ExecutionResult("error", duration_s=20))
    yield TurnEnded("completed", "Done.", TurnUsage(TokenUsage(100, 20, 60), requests=3, runs=2, seconds=20.2))


def value(text: str, name: str) -> float:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


async def test_a_turn_is_passed_on_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot.metrics")
    metrics = Metrics()
    assert [type(event) async for event in metrics.turn(a_turn())] == [TextEnded, CodeEnded, CodeEnded, TurnEnded]
    metrics.shown(0.3)
    text = (await metrics.exposition([])).decode()
    assert value(text, 'threadbook_turns_total{status="completed"}') == 1
    assert value(text, 'threadbook_cells_total{status="error"}') == 1
    assert value(text, 'threadbook_cell_seconds_bucket{le="0.25"}') == 1
    assert value(text, 'threadbook_tokens_total{kind="input"}') == 100
    assert value(text, 'threadbook_tokens_total{kind="cached"}') == 60
    assert value(text, "threadbook_model_requests_total") == 3
    assert value(text, "threadbook_first_reaction_seconds_count") == 1
    assert value(text, "threadbook_turns_running") == 0
    assert value(text, "process_resident_memory_bytes") > 1_000_000
    (record,) = caplog.records
    assert (record.__dict__["status"], record.__dict__["cells"], record.__dict__["input_tokens"]) == ("completed", 2, 100)


async def test_a_turn_that_breaks_off_does_not_run_for_ever() -> None:
    metrics = Metrics()
    events = metrics.turn(a_turn())
    await anext(events)
    assert value((await metrics.exposition([])).decode(), "threadbook_turns_running") == 1
    await events.aclose()
    assert value((await metrics.exposition([])).decode(), "threadbook_turns_running") == 0


async def test_warnings_and_errors_of_ours_are_counted_while_it_watches() -> None:
    metrics = Metrics()
    async with metrics.watching():
        logging.getLogger("bot.x").warning("hm")
        logging.getLogger("kernel_manager.x").error("oh")
        logging.getLogger("elsewhere").error("not ours")
    logging.getLogger("bot.x").error("too late")
    text = (await metrics.exposition([])).decode()
    assert value(text, 'threadbook_logged_total{level="warning"}') == 1
    assert value(text, 'threadbook_logged_total{level="error"}') == 1


async def test_prometheus_asks_on_a_port_of_the_loopback() -> None:
    metrics, port = Metrics(), free_port()
    metrics.latency = lambda: 0.042
    async with serving(lambda: metrics.exposition([]), "127.0.0.1", port) as served, aiohttp.ClientSession() as client:
        assert served == port
        async with client.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert value(await response.text(), "threadbook_discord_latency_seconds") == 0.042
        async with client.get(f"http://127.0.0.1:{port}/") as response:
            assert response.status == 404
        with pytest.raises(SettingsError, match=f"METRICS_PORT={port} cannot be used"):
            async with serving(lambda: metrics.exposition([]), "127.0.0.1", port):
                pass
