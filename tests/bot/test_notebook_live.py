"""A session taken away from Discord: the button's notebook and bundle, run where nothing of this project is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import simcord

from bot.agent.models.scripted import Reply
from bot.cogs.takeaway import exported
from tests.bot.conftest import OpenStage, Stage, said, with_buttons
from tests.integration.elsewhere import (
    MODULE,
    PACKAGE,
    VERSION,
    assert_nothing_differs,
    code_cells,
    environment_of,
    offer_package,
    read_valid,
    run_elsewhere,
    unpacked,
)

CSV = b"region;amount\nNorth;1,5\nSouth;2,25\n"
CELLS = [
    "df = load_file('sales.csv')\ndf",
    "import matplotlib.pyplot as plt\ndf.plot(x='region', y='amount', kind='bar')\nplt.show()",
    "df['price']",
    f"import {MODULE}\nprint({MODULE}.total(df.amount))",
]


async def files_of(stage: Stage, result: simcord.InteractionResult) -> dict[str, bytes]:
    """What the bot sent in answer to an interaction, by name."""
    sent = [message for message in (result.response, *result.followups) if message is not None]
    files = {file.filename: file for message in sent for file in message.attachments}
    return {name: await stage.env.bot.http.get_from_cdn(file.url) for name, file in files.items()}


@pytest.mark.slow
async def test_the_button_gives_a_notebook_and_a_bundle_that_runs_with_no_cell_differing(
    open_stage: OpenStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_package(tmp_path, monkeypatch)
    script = [*(Reply(f"Step {number}.", [code]) for number, code in enumerate(CELLS, 1)), Reply("**South** is ahead.")]
    async with open_stage(script) as stage:
        stage.env.settle_timeout = 60  # an export starts a kernel
        ada = stage.member()
        thread = await stage.open(ada, "which region is ahead?", attachments=[("sales.csv", CSV)])
        messages = await stage.ended(thread)
        given = await ada.click(with_buttons(messages), label="Notebook")
        files = await files_of(stage, given)
        files |= await files_of(stage, await ada.click(said(given), label="With its data"))
        notebook, bundle = (next(name for name in files if name.endswith(ending)) for ending in (".ipynb", ".zip"))

        nb = read_valid(files[notebook])
        assert [cell.source for cell in code_cells(nb)] == CELLS
        told = [cell.source for cell in nb.cells if cell.metadata.threadbook.get("role")]
        assert "which region is ahead?" in told[0]
        assert told[-1].endswith("(assistant):\n\n**South** is ahead.")
        assert code_cells(nb)[2].metadata.tags == ["raises-exception"]

        folder = unpacked(files[bundle], tmp_path / "bundle")
        assert f"{PACKAGE}=={VERSION}" in (folder / "requirements.txt").read_text().splitlines()
        assert (folder / "files" / "sales.csv").read_bytes() == CSV
        taken = read_valid((folder / notebook).read_bytes())
        python = environment_of(folder / "requirements.txt", tmp_path / "venv")
        ran = await run_elsewhere(taken, folder, python, monkeypatch)
        await assert_nothing_differs(taken, ran, await stage.interpreter.session("compares", "pictures"))


@pytest.mark.slow
async def test_the_command_says_which_cells_reproduce(open_stage: OpenStage) -> None:
    async with open_stage(None) as stage:
        ada = stage.member()
        thread = await stage.open(ada, "!run print(6 * 7)")
        await ada.send(thread, "!run import time; print(time.time_ns())")
        await stage.ended(thread, turns=2)
        place = await stage.service.places.find(thread.id)
        assert place is not None
        # not as a command: the simulated Discord wants that to be over sooner than two kernels start and run
        asked: Any = SimpleNamespace(guild=None)
        text, file = await exported(asked, stage.service, place.user_id, place.session_id, "html", verify=True)
        assert "Run again in a fresh kernel: 1 of 2 cells reproduce; cell 2" in text
        assert file.filename.endswith(".html")
        assert b"42" in file.fp.read()
