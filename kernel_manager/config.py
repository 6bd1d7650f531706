"""Settings: one class, read from the environment and ``.env``, passed in from there on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kernel_manager.errors import SettingsError

_MONGODB_SCHEMES = ("mongodb://", "mongodb+srv://")
#: Their values may hold a password, so no error shows them.
_SECRET = frozenset(
    {"DATABASE_URL", "DISCORD_TOKEN", "MONGODB_URI", "MONGODB_URL", "MONGODB_CONNECTION_STRING", "OPENAI_API_KEY"}
)


#: Numbers of Discord's, read from text that :meth:`Settings._ids` takes apart.
Ids = Annotated[tuple[Annotated[int, Field(gt=0, lt=2**63)], ...], NoDecode]


class Settings(BaseSettings):
    """Every setting, its default and its range. The README's table is generated from this class."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("threadbook", appauthor=False),
        description="Sessions, files and environments.",
    )
    runtime_dir: Path | None = Field(
        default=None,
        description="Sockets of live kernels; a short path. Default: below XDG_RUNTIME_DIR, /run (root) or /tmp.",
    )
    environments_dir: Path | None = Field(
        default=None, description="Kernel environments. Default: `environments` under DATA_DIR."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Where records are kept: sqlite:///PATH, mongodb://… or mongodb+srv://…. Default: SQLite in DATA_DIR.",
    )
    mongodb_uri: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("mongodb_uri", "mongodb_url", "mongodb_connection_string"),
        description="Selects MongoDB, before DATABASE_URL. Also MONGODB_URL or MONGODB_CONNECTION_STRING.",
    )
    mongodb_database_name: str = Field(
        default="code-interpreter-db", min_length=1, max_length=63, description="MongoDB's database, unless its URI names one."
    )
    mongodb_collection_name: str = Field(
        default="app_config", min_length=1, max_length=120, description="MongoDB's collection for the stored configuration."
    )
    mongodb_collection_prefix: str | None = Field(
        default=None,
        max_length=60,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Begins the name of each of MongoDB's collections, where an application has its own in the same database.",
    )
    environment_profile: Literal["minimal", "full"] = Field(
        default="full",
        description="What the kernel environment has from the start: what most sessions use, or all that load_file can open too.",
    )
    environment_renewal_days: float = Field(
        default=7, ge=0, le=3_650, description="Days after which the kernel environment is renewed, in the background; 0: never."
    )
    approved_packages: Path | None = Field(
        default=None,
        description="A TOML file of packages that may be installed besides the built-in ones; `replace = true` in it: instead.",
    )
    max_packages_mb: int = Field(default=2048, ge=1, le=1_048_576, description="Packages installed for one user, in MB.")
    package_install_timeout: float = Field(
        default=300, gt=0, le=86_400, description="Seconds that one installation of packages may take."
    )
    kernel_provisioner: Literal["auto", "zygote", "local"] = Field(
        default="auto",
        description="Kernels are forked from a preloaded process (zygote) or started one by one (local). auto: zygote on Linux.",
    )
    code_execution_timeout: float = Field(
        default=300, gt=0, le=86_400, description="Seconds of code running; installs and waiting for input() do not count."
    )
    code_wall_timeout: float = Field(
        default=3600, gt=0, le=604_800, description="Seconds that one cell may take in all, waiting for input() included."
    )
    interrupt_grace: float = Field(
        default=5, ge=0, le=600, description="Seconds between the interrupt of a cell and the end of its kernel."
    )
    input_timeout: float = Field(
        default=300, gt=0, le=86_400, description="Seconds that input() waits for an answer before the cell gets an EOFError."
    )
    kernel_start_timeout: float = Field(default=60, gt=0, le=600, description="Seconds within which a kernel must be up.")
    kernel_idle_timeout: float = Field(
        default=3600, gt=0, le=31_536_000, description="Seconds without a cell after which a kernel ends by itself."
    )
    zygote_idle_timeout: float = Field(
        default=300, ge=0, le=31_536_000, description="Seconds that the preloaded process stays after its last kernel ended."
    )
    sandbox: Literal["auto", "strict", "none"] = Field(
        default="auto",
        description="Jail of kernels. strict: no kernel starts unless every protection holds; auto: what this machine gives, "
        "with a warning; none: code can do what the service can.",
    )
    kernel_network: bool = Field(
        default=False, description="Let code use the network, this machine's own services included. Off: not even loopback."
    )
    kernel_memory_mb: int = Field(
        default=1024, ge=128, le=1_048_576, description="Memory of one kernel and all that it starts, in MB; swap none."
    )
    kernel_processes: int = Field(default=256, ge=16, le=100_000, description="Processes and threads of one kernel.")
    kernel_cpus: float = Field(
        default=1.0, ge=0.1, le=1_024, description="Processors that one kernel may use; needs a control group."
    )
    kernel_open_files: int = Field(default=1024, ge=64, le=1_048_576, description="Open files of one process.")
    kernel_file_size_mb: int = Field(default=1024, ge=1, le=1_048_576, description="Largest file that code can write, in MB.")
    kernel_tmp_mb: int = Field(default=256, ge=8, le=1_048_576, description="Size of /tmp and of /dev/shm in a jail, in MB each.")
    workspace_mb: int = Field(
        default=1024, ge=16, le=1_048_576, description="What may lie in one session's working folder, in MB."
    )
    workspace_files: int = Field(
        default=20_000, ge=100, le=10_000_000, description="Files and folders in one session's working folder."
    )
    max_kernels: int = Field(default=32, ge=1, le=10_000, description="Live kernels in all.")
    max_kernels_per_user: int = Field(default=3, ge=1, le=1_000, description="Live kernels of one user.")
    max_output_text_kb: int = Field(
        default=512, ge=4, le=65_536, description="Text that one cell keeps, in KB; the middle of a longer one is cut."
    )
    max_output_mb: int = Field(
        default=32, ge=1, le=1_024, description="All outputs of one cell together, figures included, in MB."
    )
    max_outputs: int = Field(default=200, ge=2, le=10_000, description="Outputs that one cell keeps; the middle of more is cut.")
    max_artifacts: int = Field(default=50, ge=0, le=10_000, description="Files named in the result of one cell.")
    max_file_size_mb: int = Field(default=50, ge=1, le=10_240, description="One file, in MB: handed in, or named in a result.")

    max_files_per_user: int = Field(
        default=20, ge=1, le=10_000, description="Files of one user; the oldest goes when a new one arrives."
    )
    max_user_files_mb: int = Field(
        default=500, ge=1, le=1_048_576, description="Files of one user together, in MB; the oldest go when a new one arrives."
    )
    file_expiration_hours: float = Field(
        default=48, ge=-1, le=876_000, description="Hours after which a user's file is removed; -1: never."
    )
    max_session_files: int = Field(
        default=2_000, ge=1, le=1_000_000, description="Files that the code of one session may keep; the oldest go after a cell."
    )
    max_session_files_mb: int = Field(default=1_024, ge=1, le=1_048_576, description="The same, all together, in MB.")
    session_retention_days: float = Field(
        default=365, ge=-1, le=36_500, description="Days after which an unused session is removed, history included; -1: never."
    )
    cleanup_interval_hours: float = Field(
        default=1, gt=0, le=8_760, description="Hours between two rounds of removing what has expired or was abandoned."
    )

    openai_api_key: SecretStr | None = Field(
        default=None, description="The model endpoint's key. OpenAI itself needs one, a custom endpoint perhaps not."
    )
    openai_base_url: str | None = Field(
        default=None, max_length=2_000, description="Any OpenAI-compatible endpoint: vLLM, Ollama, OpenRouter… Default: OpenAI."
    )
    openai_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A model that can call tools. Default with OpenAI: gpt-5.4-mini; a custom endpoint needs it.",
    )
    openai_api: Literal["auto", "responses", "chat_completions"] = Field(
        default="auto", description="How the endpoint is spoken to. auto: responses with OpenAI, else chat_completions."
    )
    openai_vision: Literal["auto", "on", "off"] = Field(
        default="auto", description="Whether the model gets pictures. auto: with OpenAI; an assistant's `vision` comes first."
    )
    openai_context_tokens: int = Field(
        default=32_000,
        ge=2_000,
        le=10_000_000,
        description="Tokens that the model reads at once; longer conversations are shortened. An assistant may have its own.",
    )
    openai_timeout: float = Field(default=300, gt=0, le=86_400, description="Seconds that the endpoint may send nothing.")
    openai_max_retries: int = Field(
        default=4, ge=0, le=20, description="How often a request is asked again after 429, 5xx or a connection that broke off."
    )
    max_rounds: int = Field(default=12, ge=1, le=200, description="Requests to the model in one turn; the last has to answer.")
    model_output_chars: int = Field(
        default=8_000, ge=500, le=1_000_000, description="Characters of one result that the model sees; the middle is cut."
    )
    model_figure_pixels: int = Field(
        default=768, ge=64, le=4_096, description="Width and height at most of a figure as the model gets it."
    )
    assistants_dir: Path | None = Field(
        default=None, description="A folder with assistants of your own, a TOML file each, besides the three ready-made ones."
    )
    daily_tokens_per_user: int | None = Field(
        default=None, ge=1, description="Tokens, in and out, that a user may use in a day (UTC). Default: no limit."
    )
    daily_runs_per_user: int | None = Field(
        default=None, ge=1, description="Cells that a user may have the model run in a day (UTC). Default: no limit."
    )

    discord_token: SecretStr | None = Field(default=None, description="The bot's token; without it the bot cannot start.")
    discord_shards: int = Field(
        default=0, ge=0, le=10_000, description="Connections to Discord; 0: as many as Discord recommends for this bot."
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port on which the bot answers Prometheus at /metrics. Default: none."
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=253,
        description="Address of that port. Whoever reaches it reads how the bot is used, though not by whom.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How the bot writes its log: lines for people, or one JSON object a line for machines."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What the bot's log has at least."
    )
    allow_unsandboxed: bool = Field(
        default=False,
        description="Start the bot although kernels are not apart from this machine: whoever writes to it can reach it.",
    )
    discord_operators: Ids = Field(
        default=(), description="Discord ids, separated by commas, of who runs the service. Default: who owns the application."
    )
    discord_channels: Ids = Field(
        default=(), description="Ids of the channels, or their categories, where the bot may be used on servers. Default: all."
    )
    discord_roles: Ids = Field(
        default=(), description="Ids of roles of which people on servers need one to use the bot. Default: everybody may."
    )
    discord_direct_messages: bool = Field(
        default=True, description="Whether direct messages are answered; they have neither channels nor roles."
    )
    discord_fresh_minutes: float = Field(
        default=5,
        ge=0,
        le=1_440,
        description="Minutes for which the bot offers to run an edited message again. What it missed while it was away and is "
        "older, it offers to run and does not run.",
    )
    rate_limit_per_user: int = Field(
        default=20, ge=0, le=10_000, description="Messages and commands of one user that run something, in a minute; 0: no limit."
    )
    rate_limit_per_guild: int = Field(default=120, ge=0, le=100_000, description="The same for all users of one server together.")
    ended_session_days: float = Field(
        default=30, ge=0, le=36_500, description="Days for which the session of a deleted thread can still be exported."
    )

    @field_validator("discord_operators", "discord_channels", "discord_roles", mode="before")
    @classmethod
    def _ids(cls, value: object) -> object:
        """Numbers as people write them down: separated by commas or spaces."""
        if isinstance(value, int) and not isinstance(value, bool):
            return (value,)
        if not isinstance(value, str):
            return value
        if not all(part.isascii() and part.isdigit() for part in value.replace(",", " ").split()):
            raise ValueError("give ids (numbers) separated by commas")
        return tuple(int(part) for part in value.replace(",", " ").split())

    @field_validator("file_expiration_hours", "session_retention_days")
    @classmethod
    def _positive_or_never(cls, value: float) -> float:
        if value <= 0 and value != -1:
            raise ValueError("give a number above 0, or -1 for never")
        return value

    @field_validator("database_url", "mongodb_uri")
    @classmethod
    def _known_database(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = _MONGODB_SCHEMES if info.field_name == "mongodb_uri" else ("sqlite:///", *_MONGODB_SCHEMES)
        if url is not None and not url.get_secret_value().startswith(schemes):
            raise ValueError(f"it begins with none of {', '.join(schemes)}")
        return url

    @field_validator("openai_base_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("it begins with neither https:// nor http://")
        return url

    @field_validator("data_dir", "runtime_dir", "environments_dir", "approved_packages", "assistants_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """``~`` is the user's home, and a relative path means the same wherever the process goes later."""
        return None if path is None else path.expanduser().absolute()

    @classmethod
    def load(cls) -> Settings:
        """Read the settings, or raise :class:`SettingsError` in one line that names each setting that is wrong."""
        try:
            return cls()
        except ValidationError as exc:
            raise SettingsError(_explain(exc)) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f".env cannot be read ({exc}); make it readable UTF-8 text or remove it") from exc

    @cached_property
    def runtime_path(self) -> Path:
        """The folder of this data folder's sockets: short, because a socket's path must stay under 108 bytes."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:10]
        return (self.runtime_dir or _default_runtime_base()) / digest

    @property
    def file_lifetime(self) -> timedelta | None:
        """How long a user's file is kept; None: for ever."""
        return None if self.file_expiration_hours == -1 else timedelta(hours=self.file_expiration_hours)

    @property
    def session_lifetime(self) -> timedelta | None:
        """How long an unused session is kept; None: for ever."""
        return None if self.session_retention_days == -1 else timedelta(days=self.session_retention_days)

    @cached_property
    def environments_path(self) -> Path:
        """Where the generations of the kernel environment lie."""
        return self.environments_dir or self.data_dir / "environments"


def _default_runtime_base() -> Path:
    if base := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(base) / "threadbook"
    uid = os.getuid() if hasattr(os, "getuid") else 0
    if uid == 0 and os.access("/run", os.W_OK):
        return Path("/run/threadbook")
    return Path(tempfile.gettempdir()) / f"threadbook-{uid}"


def _explain(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors():
        name = "_".join(str(part) for part in error["loc"]).upper()
        shown = name if name in _SECRET else f"{name}={error['input']!r}"
        message = error["msg"].removeprefix("Value error, ")
        lines.append(f"{shown}: {message[0].lower()}{message[1:]}; change or unset it")
    return "; ".join(lines)
