"""Every setting, its default and its check. Entry points call `get_settings()`; nothing is read at import."""

import re
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_KEY_BYTES = 32
MIN_KEY_VARIETY = 8
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def _split(value: object) -> object:
    """A list is JSON or comma-separated."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        return orjson.loads(text)
    return [item.strip() for item in text.split(",") if item.strip()]


def _origin(value: str) -> str:
    origin = value.lower()
    if not _ORIGIN.fullmatch(origin) or origin.endswith((":80", ":443")[origin.startswith("https")]):
        message = f"{value!r} is not an origin as browsers send it, such as https://app.example.com"
        raise ValueError(message)
    return origin


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < MIN_KEY_BYTES:
        message = f"must have at least {MIN_KEY_BYTES} bytes (try: openssl rand -hex 32)"
        raise ValueError(message)
    if len(set(value.get_secret_value())) < MIN_KEY_VARIETY:
        message = "is too regular to be random (try: openssl rand -hex 32)"
        raise ValueError(message)
    return value


def _network(value: str) -> str:
    ip_network(value)
    return value


type Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
type Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)]
type Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)]
type Key = Annotated[SecretStr, AfterValidator(_long_enough)]


class Settings(BaseSettings):
    """Read from the environment and `.env`, names in upper case (`DATABASE_URL`)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    app_name: Annotated[str, Field(description="Title of the API in its documents and mails.")] = "Todo API"
    debug: Annotated[bool, Field(description="Log at debug level; never shows traces to clients.")] = False
    api_v1_prefix: Annotated[str, Field(pattern=r"^(/[a-z0-9._-]+)+$", description="Path before every operation.")] = (
        "/api/v1"
    )
    public_url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
            description="Where people reach this server; links in mails start with it.",
        ),
    ] = "http://127.0.0.1:8000"
    data_dir: Annotated[Path, Field(description="Folder for SQLite, the made secret and unsent mail.")] = Path("data")

    database_url: Annotated[
        str | None,
        Field(repr=False, description="`sqlite:///FILE` or `postgresql://…`; unset: `doable.db` in `DATA_DIR`."),
    ] = None
    database_pool_size: Annotated[int, Field(ge=2, le=1000, description="Connections kept open by a process.")] = 20
    database_max_overflow: Annotated[int, Field(ge=0, le=1000, description="Connections beyond these.")] = 40
    database_pool_recycle: Annotated[int, Field(ge=1, description="Seconds until a connection is replaced.")] = 3600
    executor: Annotated[
        Literal["native", "sqlalchemy"],
        Field(description="Who runs statements: compiled once, on the driver; or SQLAlchemy, slower, if that fails."),
    ] = "native"
    sqlite_synchronous: Annotated[
        Literal["FULL", "NORMAL"], Field(description="`NORMAL` is faster and may lose the last writes in a power cut.")
    ] = "FULL"
    redis_url: Annotated[
        SecretStr | None,
        Field(description="`redis://…`: workers count limits together and wake each other; unset: each alone."),
    ] = None

    secret_key: Annotated[
        Key | None, Field(description="At least 32 random bytes; unset: made once and kept in `DATA_DIR`.")
    ] = None
    secret_key_previous: Annotated[Key | None, Field(description="The key before it: what it signed stays valid.")] = (
        None
    )
    algorithm: Annotated[Literal["HS256"], Field(description="Signature of access tokens.")] = "HS256"
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=1440, description="Life of an access token.")] = 30
    registration: Annotated[
        Literal["open", "invited", "closed"],
        Field(description="Who may register: all, invited addresses, nobody."),
    ] = "open"

    rate_limit_per_minute: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Requests a minute: of a person or session in each group (auth, read, write), of a network "
            "before login; registrations of a network an hour.",
        ),
    ] = 100
    cors_origins: Annotated[Origins, Field(description="Origins of browser clients, JSON or comma-separated.")] = ()
    allowed_hosts: Annotated[
        Names,
        Field(description="Host names that are answered; unset: loopback names and `PUBLIC_URL`'s host."),
    ] = ()
    trusted_proxies: Annotated[
        Networks, Field(description="Addresses or networks of proxies whose `X-Forwarded-For` is believed.")
    ] = ()

    smtp_url: Annotated[
        SecretStr | None,
        Field(
            description="`smtp://USER:PASSWORD@HOST:587` (STARTTLS) or `smtps://…`; unset: files in `DATA_DIR/mail`."
        ),
    ] = None
    mail_from: Annotated[str, Field(description="Sender of mails.")] = "Doable <doable@localhost>"

    outbound_networks: Annotated[
        Networks,
        Field(
            description="Networks that webhooks may reach although they are not public, by plain HTTP and any port too."
        ),
    ] = ()

    compiled_routes: Annotated[
        bool, Field(description="Serve by handlers compiled at the start; `false`: by FastAPI alone, which is slower.")
    ] = True
    docs_enabled: Annotated[bool, Field(description="Serve `/docs` and `/openapi.json`.")] = True
    log_format: Annotated[Literal["auto", "json", "console"], Field(description="`auto`: console on terminals.")] = (
        "auto"
    )
    metrics_token: Annotated[SecretStr | None, Field(description="Bearer token that opens `/metrics`.")] = None
    metrics_port: Annotated[
        int | None, Field(ge=1, le=65535, description="Loopback port for `/metrics` without a token.")
    ] = None
    embedded_worker: Annotated[bool, Field(description="`doable serve` also does the background work.")] = True
    events_retention_days: Annotated[int, Field(ge=1, le=36500, description="How long the event log is kept.")] = 90
    shutdown_grace_seconds: Annotated[
        int, Field(ge=1, le=600, description="Time that a stopping server gives to requests.")
    ] = 15

    @model_validator(mode="after")
    def _database_is_known(self) -> Self:
        scheme = self.database.split(":", 1)[0]
        if scheme not in {"sqlite", "postgresql"}:
            message = f"DATABASE_URL has the unknown scheme {scheme!r}; use sqlite:///FILE or postgresql://…"
            raise ValueError(message)
        return self

    @property
    def database(self) -> str:
        """The database's URL without a driver's name; the embedded default when none is set."""
        url = self.database_url or f"sqlite:///{self.data_dir / 'doable.db'}"
        return url.replace("postgres://", "postgresql://", 1)

    @property
    def base_path(self) -> str:
        """The path of `PUBLIC_URL`, which a proxy cuts off before requests arrive here."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def embedded(self) -> bool:
        """Whether the database is a SQLite file, which only one process may serve."""
        return self.database.startswith("sqlite")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that a request's `Host` may have, without ports."""
        return self.allowed_hosts or (*LOOPBACK_HOSTS, urlsplit(self.public_url).hostname or "localhost")


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once. Raises `pydantic.ValidationError`."""
    return Settings()
