"""Reads the settings from the environment, once, and checks them at start. All mistakes are reported together.

The docstring below each field is its description in the README and in .env.example, which `python -m router.cli.example`
prints. A secret NAME may also be given as NAME_FILE, the path of a file that contains it. Nothing else in the service
reads the environment. router.environment says what is meant by a text in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from router.environment import clean, find_stray_names

_PREFIX = "CALLROUTER_"
_STANDARD: Final = "otel_"  # named as OpenTelemetry names them everywhere
SHARED_KEY_ID: Final = r"[A-Za-z0-9_.-]{1,100}"
MOST_SHARED_KEYS: Final = 10
"""Of one Twilio account: two while one is replaced, for each of its webhook rules."""

_SHORTEST_TOKEN = 16
_LONGEST_BASE_URL = 1000
_TOGETHER = (("twilio_account_sid", "twilio_auth_token"), ("smtp_url", "mail_from"))
# These may have several lines.
_LISTS = ("platform_keys", "fallback_keys", "twilio_shared_keys", "premium_destinations", "trusted_proxies")
_WITH_SPACES: Final = (*_LISTS, "otel_exporter_otlp_headers")
_NEEDED_WITH_A_DATABASE = ("platform_keys", "fallback_keys", "admin_token")


def reveal(secret: SecretStr | None) -> str:
    """The value of a secret setting; an empty string if it is unset."""
    return secret.get_secret_value() if secret is not None else ""


class SettingsError(ValueError):
    """Settings are wrong. `problems` has one line for each: the setting's name and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_PATH: Final = re.compile(r"(?!.*//)(?:[A-Za-z0-9._~!&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_STANDARD_PORTS: Final = {"http": 80, "https": 443}


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("must be an address like https://calls.example.com") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, value)):
        raise ValueError("must be an address like https://calls.example.com")
    if not value.isascii():
        raise ValueError("must be in ASCII: Twilio signs an internationalised host in its xn-- form")
    if not _has_good_port(parts):
        raise ValueError("must have a port from 1 to 65535, or no port")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must not have a user, query or fragment")
    if len(value) > _LONGEST_BASE_URL:  # it begins addresses of 4,000 characters at most
        raise ValueError(f"must have {_LONGEST_BASE_URL} characters at most")
    if "_" in parts.hostname:
        raise ValueError("must not have an underscore in its host name: Twilio refuses such callbacks")
    if not _is_host(parts.hostname) or not _PATH.fullmatch(parts.path.rstrip("/")):
        raise ValueError(
            "must be an address like https://calls.example.com, with nothing behind it and no placeholders"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _STANDARD_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _collector_url(value: str) -> str:
    """Names inside a private network may be looser than those that Twilio takes."""
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and _has_good_port(parts)
    except ValueError:
        is_good = False
    if not is_good or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be an address like http://collector:4318")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must not have a user, query or fragment")
    return value.rstrip("/")


def _is_host(name: str) -> bool:
    """An IP address, or a name as DNS has it: the last label of one that is not an address is not a number."""
    try:
        ip_address(name)
    except ValueError:
        labels = name.removesuffix(".").split(".")
        return all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    return True


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _destinations(value: str) -> str:
    if value in ("on", "off"):
        return value
    prefixes = value.replace(",", " ").split()
    if not prefixes or not all(re.fullmatch(r"\+[1-9][0-9]{0,14}", prefix) for prefix in prefixes):
        raise ValueError("must be on, off, or prefixes of phone numbers, such as +1900,+870")
    return ",".join(prefixes)


def _account_sid(value: str) -> str:
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", value):
        raise ValueError("must be AC followed by 32 hexadecimal digits")
    return value


def _folder(value: Path) -> Path:
    """A shell would have replaced what an env file has as it is."""
    if "$" in str(value):
        raise ValueError("must be a path without variables: env files are read as they are")
    return value.expanduser()


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value) < _SHORTEST_TOKEN:
        raise ValueError(f"must have at least {_SHORTEST_TOKEN} characters")
    return _printable(value)


def _auth_token(value: SecretStr) -> SecretStr:
    """Twilio's tokens have 32 hexadecimal digits today; a SID in their place is a frequent mistake."""
    if re.fullmatch(r"[A-Z]{2}[0-9a-fA-F]{32}", value.get_secret_value()):
        raise ValueError("must be the account's auth token, not a SID")
    if not re.fullmatch(r"[\w.-]+", value.get_secret_value(), re.ASCII):
        raise ValueError("must be the account's auth token, which has only letters and digits, and nothing else")
    return value


def _printable(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()) or set(value.get_secret_value()) & set("\"'`\\"):
        raise ValueError("must have only letters, digits and signs of ASCII, without quotes and backslashes")
    return value


def _shared_keys(value: SecretStr) -> SecretStr:
    """The order counts, not the secret, in what is said about an entry."""
    entries = [entry.partition(":") for entry in value.get_secret_value().replace(",", " ").split()]
    for place, (key_id, _, secret) in enumerate(entries, start=1):
        if not re.fullmatch(SHARED_KEY_ID, key_id) or not secret:
            raise ValueError(f"entry {place} must be id:secret, with the ID that Twilio shows for the shared key")
        try:
            _printable(SecretStr(secret))
        except ValueError as error:
            raise ValueError(f"the secret of entry {place} {error}") from None
    if len({key_id for key_id, _, _ in entries}) < len(entries):
        raise ValueError("must not name an ID twice")
    if not 0 < len(entries) <= MOST_SHARED_KEYS:
        raise ValueError(f"must have 1 to {MOST_SHARED_KEYS} entries")
    return value


def _headers(value: SecretStr) -> SecretStr:
    """OpenTelemetry's format: values may be percent-encoded."""
    for place, pair in enumerate(value.get_secret_value().split(","), start=1):
        name, _, given = pair.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9!#$&^_.-]+", name.strip()) or not re.fullmatch(r"[ -~]+", given):
            raise ValueError(f"entry {place} must be name=value, in ASCII")
    return value


def _networks(value: object) -> object:
    """Addresses and networks, separated by commas or white space."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(each, strict=False) for each in value.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8, separated by commas") from None


BaseUrl = Annotated[str, AfterValidator(_base_url)]
CollectorUrl = Annotated[str, AfterValidator(_collector_url)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Declared(Protocol):
    """A setting that a provider declares."""

    @property
    def help(self) -> str: ...

    @property
    def default(self) -> str: ...

    @property
    def is_url(self) -> bool: ...

    @property
    def find_mistake(self) -> Callable[[str], str | None] | None: ...


class Settings(BaseModel):
    """All settings, with their defaults and descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    database_url: SecretStr | None = None
    """PostgreSQL connection string (secret). Several hosts and `target_session_attrs` are supported. If unset,
    callrouter runs an embedded PostgreSQL in the data directory."""
    database_direct_url: SecretStr | None = None
    """Connection string (secret) that bypasses a transaction pooler, for LISTEN, jobs and `migrate`. If unset,
    `DATABASE_URL`."""
    data_dir: Annotated[Path, AfterValidator(_folder)] = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("callrouter", appauthor=False))
    )
    """Directory for the embedded database, generated keys, and call records while the database is down. If unset, the
    user's data directory."""
    public_url: BaseUrl | None = None
    """HTTPS address at which Twilio and the providers reach callrouter. If unset, `http://HOST:PORT`, with a
    warning."""
    fallback_url: BaseUrl | None = None
    """Address at which Twilio reaches the static fallback. If unset, the public address."""
    platform_keys: SecretStr | None = None
    """Keys (secret) that seal all other keys: `id:base64 of 32 bytes`, separated by commas or line breaks. The first is
    active. Required with `DATABASE_URL`; otherwise generated in the data directory."""
    fallback_keys: SecretStr | None = None
    """Keys (secret) that seal only the static fallback's addresses, in the same format. Required with `DATABASE_URL`;
    otherwise generated in the data directory."""
    admin_token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """The operator's bearer token (secret), at least 16 characters. Required with `DATABASE_URL`; otherwise generated
    in the data directory."""
    twilio_account_sid: Annotated[str, AfterValidator(_account_sid)] | None = None
    """The platform's own Twilio account. If unset, each agency needs its own."""
    twilio_auth_token: Annotated[SecretStr, AfterValidator(_auth_token)] | None = None
    """Auth token (secret) of the platform's Twilio account. Set both or neither."""
    twilio_shared_keys: Annotated[SecretStr, AfterValidator(_shared_keys)] | None = None
    """Shared keys (secret) with which the platform's Twilio account signs its webhooks, if its webhook rules name such
    keys: `id:secret`, separated by commas or spaces, at most 10."""
    providers: Mapping[str, str] = Field(default_factory=dict, exclude=True)
    """The values of the settings that providers declare, by name."""
    twilio_url: BaseUrl = "https://api.twilio.com"
    """Base address of the Twilio API."""
    answer_deadline: Annotated[float, Field(ge=2, le=14)] = 10
    """Seconds within which Twilio always gets TwiML. Twilio times out after 15."""
    handoff_timeout: Seconds = 6
    """Seconds within which a provider must take a call."""
    sip_timeout: Annotated[int, Field(ge=5, le=60)] = 8
    """Seconds that an AI's SIP leg may ring."""
    ring_budget: Annotated[int, Field(ge=15, le=300)] = 45
    """Seconds from the first webhook until someone or something must answer; after that, voicemail."""
    caller_calls: Annotated[int, Field(ge=1)] = 5
    """Concurrent calls per caller; further calls go to voicemail."""
    agency_calls: Annotated[int, Field(ge=1)] = 500
    """Concurrent calls per agency; further calls go to voicemail."""
    purchases_per_day: Annotated[int, Field(ge=1)] = 10
    """Phone numbers that each agency may buy in 24 hours; further ones get 429. The admin token is not limited."""
    premium_destinations: Annotated[str, AfterValidator(_destinations)] = "off"
    """Premium-rate, shared-cost and satellite numbers that may be rung: `off` (none), `on` (all), or prefixes separated by
    commas, `+1900,+870`. Others are refused when they are saved, and are not rung. Set it for `callrouter fallback` too."""
    agency_rate: Annotated[int, Field(ge=5)] = 50
    """Requests a second that each agency may send to the API of each process; further ones get 429. A page of the console
    counts as one. The admin token is not limited."""
    agency_requests_at_once: Annotated[int, Field(ge=2)] = 20
    """Requests of an agency that are answered at the same time in each process; further ones get 429."""
    agency_streams: Annotated[int, Field(ge=1)] = 20
    """Event streams that an agency may have open in each process."""
    agency_downloads: Annotated[int, Field(ge=1)] = 10
    """Recordings that an agency may listen to at the same time in each process. Each may take ten minutes."""
    downloads: Annotated[int, Field(ge=1, le=800)] = 100
    """Recordings that all agencies together may listen to at the same time in each process. The fewer places are free, the
    fewer an agency may have."""
    figures_timeout: Annotated[float, Field(ge=1, le=20)] = 10
    """Seconds that counting an agency's figures or searching its calls may take; after that, 503."""
    connections: Annotated[int, Field(ge=10, le=100_000)] = 2000
    """Incoming connections open at the same time in each process, if the system's limit on open files allows it. When
    they are used up, a new connection takes the place of the one that has gone longest without a complete request."""
    header_bytes: Annotated[int, Field(ge=8192, le=65535)] = 32768
    """Bytes of a request's first line and headers together; more get 431."""
    header_fields: Annotated[int, Field(ge=30, le=1000)] = 100
    """Headers of a request; more get 431."""
    header_timeout: Seconds = 10
    """Seconds that a client has to send a request's headers; after that, 408."""
    body_timeout: Seconds = 20
    """Seconds that a client has to send a request's body, at 1 kB a second or faster; after that, 408."""
    idle_timeout: Seconds = 75
    """Seconds that a connection may be idle between two requests. Behind a load balancer or proxy, keep it higher than
    theirs, which is 60 for many and 600 for Google's, so that they close first and no request meets a closed connection."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)] | None = None
    """Addresses and networks, separated by commas, of the proxies whose `X-Forwarded-For` is believed: limits and the
    audit log then use the client's address. If unset, the header is ignored."""
    drain_delay: Annotated[float, Field(ge=0, le=300)] = 5
    """Seconds after SIGTERM during which `/readyz` returns 503 and calls are still accepted."""
    private_endpoints: Literal["on", "off"] = "off"
    """`on` allows outgoing webhooks to private and loopback addresses, and over plain HTTP."""
    smtp_url: SecretStr | None = None
    """Mail server (secret): `smtp://user:password@host:587` (STARTTLS, required with a password unless
    `?starttls=never`) or `smtps://…`. If unset, no email is sent."""
    mail_from: str | None = None
    """Sender address of emails. Set it together with `CALLROUTER_SMTP_URL`."""
    mails_an_hour: Annotated[int, Field(ge=1)] = 100
    """Emails sent for each agency in an hour; further ones wait."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_format: Literal["json", "console"] | None = None
    """`json` or `console`. If unset, `console` on a terminal and `json` elsewhere."""
    log_numbers: Literal["masked", "full"] = "masked"
    """Phone numbers in logs: `masked` (only the last four digits are shown) or `full`."""
    otel_exporter_otlp_endpoint: CollectorUrl | None = None
    """Address of an OpenTelemetry collector, such as `http://collector:4318`, that gets traces at `/v1/traces`. If unset,
    nothing is traced. `docs/traces.md` names more variables."""
    otel_exporter_otlp_traces_endpoint: CollectorUrl | None = None
    """The whole address for traces, if it is another one."""
    otel_exporter_otlp_headers: Annotated[SecretStr, AfterValidator(_headers)] | None = None
    """Headers (secret) for the collector: `name=value`, separated by commas."""
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    """Only `http/protobuf`."""
    otel_service_name: Annotated[str, Field(max_length=200)] = "callrouter"
    """The name of the service in traces."""
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_always_on"
    """Which traces are recorded: `always_on`, `always_off` or `traceidratio`, or one of these behind `parentbased_`."""
    otel_traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of traces that `traceidratio` records, from 0 to 1."""
    otel_traces_exporter: Literal["otlp", "none"] = "otlp"
    """`none` turns traces off."""
    otel_sdk_disabled: bool = False
    """`true` turns traces off, too."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of processes that answer calls."""
    embedded_dsn: SecretStr | None = Field(None, exclude=True)  # set by the commands, not by the environment
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 picks a free one."""

    ops_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port for the probes and `/metrics` alone; 0 picks a free one. If unset, they are on `CALLROUTER_PORT`, which
    everyone can reach."""

    @property
    def embedded(self) -> bool:
        """Whether the service runs its own PostgreSQL in the data directory."""
        return self.database_url is None

    @property
    def traces_endpoint(self) -> str | None:
        """Where traces go; None: nowhere."""
        if self.otel_sdk_disabled or self.otel_traces_exporter == "none":
            return None
        if self.otel_exporter_otlp_traces_endpoint is not None:
            return self.otel_exporter_otlp_traces_endpoint
        base = self.otel_exporter_otlp_endpoint
        return None if base is None else f"{base}/v1/traces"

    @property
    def premium_prefixes(self) -> tuple[str, ...]:
        """Beginnings of the costly numbers that may be rung."""
        match self.premium_destinations:
            case "off":
                return ()
            case "on":
                return ("+",)
        return tuple(self.premium_destinations.split(","))

    @property
    def shared_keys(self) -> dict[str, SecretStr]:
        """The shared keys of the platform's Twilio account, by id."""
        pairs = (entry.partition(":") for entry in reveal(self.twilio_shared_keys).replace(",", " ").split())
        return {key_id: SecretStr(secret) for key_id, _, secret in pairs}

    @property
    def dsn(self) -> str:
        """The given database, or the embedded one once it has been started."""
        return reveal(self.database_url or self.embedded_dsn)

    @property
    def direct_dsn(self) -> str:
        """The DSN for LISTEN, which does not work through a transaction pooler."""
        return reveal(self.database_direct_url) or self.dsn

    @property
    def base_url(self) -> str:
        """The address at which Twilio and the providers reach us."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def fallback_base_url(self) -> str:
        return self.fallback_url or self.base_url


def load_settings(
    environ: Mapping[str, str] | None = None,
    checks: Mapping[str, Callable[[str], str | None]] | None = None,
    declared: Mapping[str, Declared] | None = None,
    **overrides: Any,
) -> Settings:
    """Read the environment, and the files that NAME_FILE variables name. Raises SettingsError.

    Each of `checks` says what is wrong with a setting, or returns None. `declared` are the providers' settings.
    """
    reading = _Reading(os.environ if environ is None else environ, declared or {})
    values = reading.values | {name: value for name, value in overrides.items() if value is not None}
    values["providers"], mistakes = _read_declared(reading, values, declared or {})
    problems = [*reading.problems, *mistakes, *_find_gaps(values, reading.refused)]
    problems += _run_checks(values, checks or {})
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems += [_explain(detail) for detail in error.errors()]
    if problems:
        raise SettingsError(problems) from None
    return settings


def env_name(field: str) -> str:
    """The environment variable of a setting."""
    is_foreign = field == "database_url" or field.startswith(_STANDARD)
    return field.upper() if is_foreign else f"{_PREFIX}{field.upper()}"


def is_secret(info: FieldInfo) -> bool:
    return "SecretStr" in str(info.annotation)


class _Reading:
    """What is read from the environment, and the mistakes that were found."""

    def __init__(self, env: Mapping[str, str], declared: Mapping[str, Declared]) -> None:
        self._env = env
        self.values: dict[str, Any] = {}
        self.refused: set[str] = set()  # settings that are set, but not used because their text is wrong
        self.problems: list[str] = []
        fields = {field: info for field, info in Settings.model_fields.items() if not info.exclude}
        secrets = [field for field, info in fields.items() if is_secret(info)]
        known = {env_name(field) for field in (*fields, *declared)} | {f"{env_name(field)}_FILE" for field in secrets}
        self.problems += [
            f"{name}: its name in the environment is in lower case, or has a space, `export` or a byte order mark in front:"
            " correct the env file"
            for name in find_stray_names(env, known)
        ]
        for field in fields:
            self._read_field(field, may_be_in_file=field in secrets)

    def read_variable(self, field: str) -> str | None:
        return self._clean(field, env_name(field), self._env.get(env_name(field), ""))

    def _read_field(self, field: str, *, may_be_in_file: bool) -> None:
        name = env_name(field)
        value = self.read_variable(field)
        path = self._clean(field, f"{name}_FILE", self._env.get(f"{name}_FILE", "")) if may_be_in_file else None
        if path and value:
            self._refuse(field, f"{name} and {name}_FILE", "set one of them, not both")
        elif path:
            value = self._read_file(field, f"{name}_FILE", Path(path))
        if value and may_be_in_file and field not in _WITH_SPACES and any(map(str.isspace, value)):
            self._refuse(field, name, "must not contain spaces")
        elif value and field not in self.refused:
            self.values[field] = value

    def _read_file(self, field: str, name: str, path: Path) -> str | None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            self._refuse(field, name, f"cannot read the file ({error.strerror})")
            return None
        except ValueError:
            self._refuse(field, name, "the file is not UTF-8 text")
            return None
        value = self._clean(field, name, text)
        if value == "":
            self._refuse(field, name, "the file is empty")
        return value

    def _clean(self, field: str, name: str, text: str) -> str | None:
        try:
            return clean(text, may_be_quoted_inside=field == "mail_from", may_have_lines=field in _LISTS)
        except ValueError as error:
            self._refuse(field, name, str(error))
            return None

    def _refuse(self, field: str, name: str, mistake: str) -> None:
        self.refused.add(field)
        self.problems.append(f"{name}: {mistake}")


def _read_declared(
    reading: _Reading, given: dict[str, Any], declared: Mapping[str, Declared]
) -> tuple[dict[str, str], list[str]]:
    """The providers' settings. Values in `given` take precedence and are removed from it."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for name, setting in declared.items():
        value = given.pop(name, None) or reading.read_variable(name) or setting.default
        try:
            values[name] = _base_url(value) if setting.is_url else value
        except ValueError as error:
            problems.append(f"{env_name(name)}: {error}")
        if setting.find_mistake is not None and (mistake := setting.find_mistake(value)):
            problems.append(f"{env_name(name)}: {mistake}")
    return values, problems


def _find_gaps(values: Collection[str], refused: set[str]) -> list[str]:
    """What is wrong with combinations of settings: `values` are set; the `refused` ones have been named already."""
    problems = []
    if "database_url" in values:
        problems += [
            f"{env_name(name)}: required when DATABASE_URL is set"
            for name in _NEEDED_WITH_A_DATABASE
            if name not in values and name not in refused
        ]
    problems += [
        f"{env_name(one)} and {env_name(other)}: set both or neither"
        for one, other in _TOGETHER
        if (one in values) != (other in values) and not refused & {one, other}
    ]
    return problems


def _run_checks(values: Mapping[str, Any], checks: Mapping[str, Callable[[str], str | None]]) -> list[str]:
    problems = []
    for name, find_mistake in checks.items():
        value = values.get(name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        if plain and (mistake := find_mistake(plain)):
            problems.append(f"{env_name(name)}: {mistake}")
    return problems


def _explain(detail: Any) -> str:
    return f"{env_name(str(detail['loc'][0]))}: {str(detail['msg']).removeprefix('Value error, ')}"
