"""An assistant: who answers, with which instructions and which model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bot.agent.models.protocol import ModelOptions
from kernel_manager.errors import UsageError

MAX_INSTRUCTIONS = 20_000
_MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class AssistantOptions:
    """What an assistant may change. ``context_tokens`` is how much its model reads; None is the setting's or the endpoint's."""

    temperature: float | None = None
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None
    context_tokens: int | None = None
    vision: bool | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AssistantOptions:
        """Read options from a record or a file. Raises UsageError for one that is not known or cannot be."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"options has {', '.join(map(repr, unknown))}; it may have {', '.join(sorted(known))}")
        for name, (kinds, low, high) in _RANGES.items():
            value = values.get(name)
            if value is not None and (type(value) not in kinds or not low <= value <= high):
                raise UsageError(f"options.{name} is {value!r}; give a number from {low:g} to {high:g}")
        effort, vision = values.get("reasoning_effort"), values.get("vision")
        if effort is not None and (not isinstance(effort, str) or not effort.isalpha() or len(effort) > 20):
            raise UsageError(f"options.reasoning_effort is {effort!r}; give a word such as low, medium or high")
        if vision is not None and not isinstance(vision, bool):
            raise UsageError(f"options.vision is {vision!r}; give true or false")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return what is set."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    @property
    def for_model(self) -> ModelOptions:
        """Those that go to the endpoint."""
        return ModelOptions(self.temperature, self.reasoning_effort, self.max_output_tokens)


_RANGES: dict[str, tuple[tuple[type, ...], float, float]] = {
    "temperature": ((int, float), 0, 2),
    "max_output_tokens": ((int,), 16, 1_000_000),
    "context_tokens": ((int,), 2_000, 10_000_000),
}


@dataclass(frozen=True, slots=True)
class Assistant:
    """See the module. ``model`` is None for the setting's."""

    assistant_id: str
    name: str
    instructions: str
    model: str | None = None
    options: AssistantOptions = AssistantOptions()

    @classmethod
    def of(cls, assistant_id: str, values: Mapping[str, Any]) -> Assistant:
        """Make it from a record or a file's table. Raises UsageError that says what is wrong."""
        name, instructions, model = values.get("name"), values.get("instructions"), values.get("model")
        if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME:
            raise UsageError(f"assistant {assistant_id!r}: name is {name!r}; give a text of 1 to {_MAX_NAME} characters")
        if not isinstance(instructions, str) or len(instructions) > MAX_INSTRUCTIONS:
            raise UsageError(
                f"assistant {assistant_id!r}: instructions must be a text of at most {MAX_INSTRUCTIONS:,} characters"
            )
        if model is not None and (not isinstance(model, str) or not model.strip()):
            raise UsageError(f"assistant {assistant_id!r}: model is {model!r}; give a model's name or leave it out")
        options = values.get("options") or {}
        if not isinstance(options, Mapping):
            raise UsageError(f"assistant {assistant_id!r}: options must be a table")
        try:
            return cls(assistant_id, name, instructions, model, AssistantOptions.of(options))
        except UsageError as exc:
            raise UsageError(f"assistant {assistant_id!r}: {exc}") from exc
