"""The assistants that there are: ready-made ones, those of the operator's files, and records in the database."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bot.agent.assistant import Assistant
from bot.agent.errors import ModelError, UnknownAssistantError
from bot.agent.models.protocol import ModelClient
from kernel_manager.database.protocol import AssistantRecord, Database
from kernel_manager.errors import UsageError

logger = logging.getLogger(__name__)

#: The configuration's key under which the id of the assistant for everybody stands.
CONFIG_KEY = "assistant_id"
DEFAULT_ID = "data-analyst"
#: What ids at OpenAI looked like, which name nothing any more: the Assistants API was shut down, hosted prompts end.
_GONE = {
    "asst_": " of OpenAI's Assistants API, which is shut down,",
    "pmpt_": " of OpenAI's hosted prompts, which end on 2026-11-30,",
}
_MAX_FILE_BYTES = 100_000
_MAX_FILES = 200


class Assistants:
    """See the module. Everything raises DatabaseError when the database cannot be reached."""

    def __init__(self, database: Database, folder: Path | None = None) -> None:
        self._database = database
        self._folder = folder
        self._default_id = DEFAULT_ID

    async def start(self, client: ModelClient, model: str) -> Assistant:
        """Store what is not stored yet, and return the assistant for everybody, as the log says.

        The configuration's ``assistant_id`` names it; if there is none, or what it names is gone, the data analyst takes its
        place. Of several processes that start at once, all come to the same. ``model`` is that of assistants without one; an
        endpoint that is down or does not list the model is warned of and changes nothing. Raises UsageError for a broken file
        or record.
        """
        await self._store_files()
        assistant = await self._find_or_create()
        self._default_id = assistant.assistant_id
        await verify(client, assistant.model or model)
        return assistant

    async def _store_files(self) -> None:
        for assistant in ready_made().values():
            if await self._database.get_assistant(assistant.assistant_id) is None:
                await self._save(assistant)
        for assistant in of_folder(self._folder).values():
            await self._save(assistant)

    async def _save(self, assistant: Assistant) -> None:
        await self._database.save_assistant(
            assistant.assistant_id,
            name=assistant.name,
            instructions=assistant.instructions,
            model=assistant.model,
            options=assistant.options.to_dict(),
        )

    async def _find_or_create(self) -> Assistant:
        stored = await self._database.get_config(CONFIG_KEY)
        if isinstance(stored, str) and (found := await self._get(stored)) is not None:
            logger.info("using assistant %s (%s), which the configuration names", stored, found.name)
            return found
        if stored is None:
            chosen = await self._database.set_config_if_absent(CONFIG_KEY, DEFAULT_ID)
        else:
            old = next((whose for prefix, whose in _GONE.items() if str(stored).startswith(prefix)), "")
            logger.warning("the configuration's assistant_id %r%s names no assistant; it is replaced", stored, old)
            chosen = await self._database.replace_config(CONFIG_KEY, stored, DEFAULT_ID)
        created = await self._get(chosen) if isinstance(chosen, str) else None
        if created is None:
            raise UnknownAssistantError(f"assistant_id in the configuration is {chosen!r}, which names no assistant; remove it")
        logger.info("created assistant %s (%s) and stored its id in the configuration", created.assistant_id, created.name)
        return created

    async def _get(self, assistant_id: str) -> Assistant | None:
        record = await self._database.get_assistant(assistant_id)
        return None if record is None else of_record(record)

    async def all(self) -> list[Assistant]:
        """Return all assistants, by name; records that cannot be read are left out, as the log says."""
        found = []
        for record in await self._database.list_assistants():
            try:
                found.append(of_record(record))
            except UsageError as exc:
                logger.warning("%s; it is left out", exc)
        return found

    async def get(self, assistant_id: str) -> Assistant:
        """Return an assistant by its id. Raises UnknownAssistantError, which names those that there are."""
        found = await self._get(assistant_id)
        if found is None:
            there = ", ".join(sorted(assistant.assistant_id for assistant in await self.all()))
            raise UnknownAssistantError(f"there is no assistant {assistant_id[:80]!r}; there are {there}")
        return found

    async def of_user(self, user_id: str) -> Assistant:
        """Return the assistant that a user chose, or the one for everybody."""
        chosen = await self._database.get_user_assistant(user_id)
        found = await self._get(chosen) if chosen is not None else None
        return found or await self.get(self._default_id)

    async def choose(self, user_id: str, assistant_id: str | None) -> Assistant:
        """Store a user's choice and return it; None goes back to the one for everybody. Raises UnknownAssistantError."""
        chosen = None if assistant_id is None else await self.get(assistant_id)
        await self._database.set_user_assistant(user_id, None if chosen is None else chosen.assistant_id)
        return chosen or await self.get(self._default_id)


async def verify(client: ModelClient, model: str) -> None:
    """Ask the endpoint whether it has the model, and warn if it does not say so."""
    try:
        names = await client.models()
    except ModelError as exc:
        logger.warning("the model could not be verified: %s", exc)
        return
    if names and model not in names and f"{model}:latest" not in names:
        logger.warning("%s does not list the model %s; it is used all the same", client.base_url, model)


def of_record(record: AssistantRecord) -> Assistant:
    """Return the assistant of a record. Raises UsageError if somebody wrote nonsense into it."""
    return Assistant.of(record["assistant_id"], {**record, "options": record["options"]})


def ready_made() -> dict[str, Assistant]:
    """Return the assistants that come with the package, by id."""
    files = sorted(resources.files("bot.agent").joinpath("ready_made").iterdir(), key=lambda file: file.name)
    return {assistant.assistant_id: assistant for file in files if (assistant := _of_file(file)) is not None}


def of_folder(folder: Path | None) -> dict[str, Assistant]:
    """Return the assistants of a folder's TOML files, by id. Raises UsageError that names the file that is wrong."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise UsageError(f"ASSISTANTS_DIR is {folder}, which is no folder; make it or unset the setting")
    files = sorted(folder.glob("*.toml"))[:_MAX_FILES]
    return {assistant.assistant_id: assistant for file in files if (assistant := _of_file(file)) is not None}


def _of_file(file: Traversable | Path) -> Assistant | None:
    if not file.name.endswith(".toml"):
        return None
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise UsageError(f"it has more than {_MAX_FILE_BYTES:,} bytes")
        values: Mapping[str, object] = tomllib.loads(content.decode())
        if unknown := sorted(set(values) - {"name", "instructions", "model", "options"}):
            raise UsageError(f"it has {', '.join(map(repr, unknown))}; it may have name, instructions, model and [options]")
        return Assistant.of(file.name.removesuffix(".toml"), values)
    except (OSError, ValueError, UsageError) as exc:
        raise UsageError(f"{file}: {exc}; correct the file") from exc
