"""Settings: what an operator reads when some are wrong, and where secrets may stand."""

from __future__ import annotations

import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from adapters.registry import PROVIDERS, settings_of
from router.cli.setup import generate_missing
from router.dialling import Dialling
from router.settings import Settings, SettingsError, env_name, load_settings

CANARY = "canary-4f9a1c77e2b04d6d8b1e"
SECRETS = [
    name for name, info in Settings.model_fields.items() if "SecretStr" in str(info.annotation) and not info.exclude
]
WITH_DATABASE = {
    "DATABASE_URL": "postgres://db.example.com/calls",
    "CALLROUTER_PLATFORM_KEYS": "k1:AAAA",
    "CALLROUTER_FALLBACK_KEYS": "k1:AAAA",
    "CALLROUTER_ADMIN_TOKEN": "0123456789abcdef",
}
ACCOUNT = "AC" + "0123456789abcdef" * 2


def secret_of(name: str) -> str:
    """A value with the canary in it."""
    shaped = {
        "twilio_shared_keys": f"webhooks_sharedkey_1:{CANARY}",
        "otel_exporter_otlp_headers": f"authorization={CANARY}",
    }
    return shaped.get(name, CANARY)


def problems_of(environ: dict[str, str], **overrides: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, **overrides)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def problem_of(environ: dict[str, str]) -> str:
    (problem,) = problems_of(environ)
    return problem


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings({})
    assert settings.embedded
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.fallback_base_url == settings.base_url
    assert (settings.answer_deadline, settings.handoff_timeout, settings.sip_timeout, settings.ring_budget) == (
        10,
        6,
        8,
        45,
    )
    assert (settings.log_level, settings.log_numbers, settings.workers, settings.drain_delay) == (
        "info",
        "masked",
        1,
        5,
    )


def test_providers_declare_settings() -> None:
    settings = load_settings({"CALLROUTER_BLAND_URL": "https://Bland.example.com/"}, declared=settings_of(PROVIDERS))
    assert settings.providers == {
        "vapi_url": "https://api.vapi.ai",
        "retell_url": "https://api.retellai.com",
        "retell_sip": "sip.retellai.com;transport=tcp",
        "bland_url": "https://bland.example.com",
        "bland_sip": "us2.sip.bland.ai:5061;transport=tls;secure=true",
        "elevenlabs_url": "https://api.elevenlabs.io",
    }


def test_every_mistake_in_a_providers_setting_is_named() -> None:
    wrong = {"CALLROUTER_VAPI_URL": "vapi", "CALLROUTER_RETELL_SIP": "a server"}
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, declared=settings_of(PROVIDERS))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == list(wrong)


def test_unrelated_variables_are_ignored() -> None:
    assert load_settings({"PATH": "/bin", "CALLROUTER_UNKNOWN": "1", "HOST": "example.com"}) == load_settings({})


def test_a_variable_that_is_empty_is_not_set() -> None:
    assert load_settings({"CALLROUTER_PORT": "", "DATABASE_URL": ""}) == load_settings({})


def test_options_take_precedence() -> None:
    settings = load_settings({"CALLROUTER_PORT": "9000", "CALLROUTER_HOST": "0.0.0.0"}, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")


def test_every_mistake_is_named_at_once() -> None:
    problems = problems_of(
        {
            "DATABASE_URL": "postgres://db.example.com/calls",
            "CALLROUTER_PUBLIC_URL": "calls.example.com",
            "CALLROUTER_PORT": "http",
            "CALLROUTER_WORKERS": "0",
            "CALLROUTER_ANSWER_DEADLINE": "15",
            "CALLROUTER_LOG_LEVEL": "loud",
            "CALLROUTER_PRIVATE_ENDPOINTS": "yes",
            "CALLROUTER_TWILIO_ACCOUNT_SID": "AC12",
            "CALLROUTER_SMTP_URL_FILE": "/nowhere/smtp-url",
        }
    )
    assert {problem.partition(":")[0] for problem in problems} == {
        "CALLROUTER_PLATFORM_KEYS",
        "CALLROUTER_FALLBACK_KEYS",
        "CALLROUTER_ADMIN_TOKEN",
        "CALLROUTER_PUBLIC_URL",
        "CALLROUTER_PORT",
        "CALLROUTER_WORKERS",
        "CALLROUTER_ANSWER_DEADLINE",
        "CALLROUTER_LOG_LEVEL",
        "CALLROUTER_PRIVATE_ENDPOINTS",
        "CALLROUTER_TWILIO_ACCOUNT_SID",
        "CALLROUTER_TWILIO_ACCOUNT_SID and CALLROUTER_TWILIO_AUTH_TOKEN",
        "CALLROUTER_SMTP_URL_FILE",
    }
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("calls.example.com", "https://calls.example.com"),
        ("ftp://calls.example.com", "https://calls.example.com"),
        ("https://", "https://calls.example.com"),
        ("https://user:pass@calls.example.com", "must not have a user"),
        ("https://@calls.example.com", "must not have a user"),
        ("https://calls.example.com/?a=b", "query"),
        ("https://calls.example.com/#there", "fragment"),
        ("https://my_calls.example.com", "underscore"),
        (f"https://calls.example.com/{'a' * 1000}", "1000 characters at most"),
    ],
)
def test_an_address_that_twilio_could_not_use_is_refused(given: str, hint: str) -> None:
    problem = problem_of({"CALLROUTER_PUBLIC_URL": given})
    assert problem.startswith("CALLROUTER_PUBLIC_URL: must ")
    assert hint in problem


def test_addresses_are_kept_as_twilio_signs_them() -> None:
    settings = load_settings({"CALLROUTER_PUBLIC_URL": "https://Calls.Example.com/Router/"})
    assert settings.base_url == "https://calls.example.com/Router"
    assert settings.fallback_base_url == settings.base_url


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("HTTPS://Calls.Example.com:443/", "https://calls.example.com"),
        ("https://calls.example.com:443/Router//", "https://calls.example.com/Router"),
        ("http://calls.example.com:80", "http://calls.example.com"),
        ("https://calls.example.com:4430", "https://calls.example.com:4430"),
        ("https://calls.example.com:80", "https://calls.example.com:80"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]"),
        ("https://calls.example.com:", "https://calls.example.com"),
        ("https://calls.example.com:0443", "https://calls.example.com"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://192.0.2.7:8443/a%20b", "https://192.0.2.7:8443/a%20b"),
        ("http://callrouter", "http://callrouter"),
    ],
)
def test_spellings_of_one_address_are_one_address(given: str, address: str) -> None:
    assert load_settings({"CALLROUTER_PUBLIC_URL": given}).base_url == address


def test_the_fallback_can_live_elsewhere() -> None:
    settings = load_settings({"CALLROUTER_FALLBACK_URL": "https://elsewhere.example.com"})
    assert settings.fallback_base_url == "https://elsewhere.example.com"
    assert settings.base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("missing", ["CALLROUTER_PLATFORM_KEYS", "CALLROUTER_FALLBACK_KEYS", "CALLROUTER_ADMIN_TOKEN"])
def test_an_external_database_needs_secrets_that_outlive_this_machine(missing: str) -> None:
    environ = {name: value for name, value in WITH_DATABASE.items() if name != missing}
    assert problem_of(environ) == f"{missing}: required when DATABASE_URL is set"
    assert not load_settings(WITH_DATABASE).embedded


def test_the_platform_s_account_needs_both_settings() -> None:
    problem = problem_of({"CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT})
    assert problem == "CALLROUTER_TWILIO_ACCOUNT_SID and CALLROUTER_TWILIO_AUTH_TOKEN: set both or neither"
    both = {"CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT, "CALLROUTER_TWILIO_AUTH_TOKEN": CANARY}
    assert load_settings(both).twilio_account_sid == ACCOUNT


@pytest.mark.parametrize("given", ["a:one,b:two:2", "a:one b:two:2", " a:one,\n b:two:2 ", "a:one,b:two:2,"])
def test_shared_keys_are_read_by_id(given: str) -> None:
    settings = load_settings({"CALLROUTER_TWILIO_SHARED_KEYS": given})
    assert {name: secret.get_secret_value() for name, secret in settings.shared_keys.items()} == {
        "a": "one",
        "b": "two:2",
    }
    assert load_settings({}).shared_keys == {}


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (CANARY, "entry 1 must be id:secret"),
        (f"a:one,{CANARY}", "entry 2 must be id:secret"),
        (f":{CANARY}", "entry 1 must be id:secret"),
        (f"{CANARY}:", "entry 1 must be id:secret"),
        (f"a:{CANARY}é", "the secret of entry 1 must have only"),
        (f"a:{CANARY},a:two", "must not name an ID twice"),
        (",".join(f"k{number}:{CANARY}" for number in range(11)), "must have 1 to 10 entries"),
        (",", "must have 1 to 10 entries"),
    ],
)
def test_shared_keys_in_another_form_are_refused_without_being_shown(given: str, hint: str) -> None:
    problem = problem_of({"CALLROUTER_TWILIO_SHARED_KEYS": given})
    assert problem.startswith(f"CALLROUTER_TWILIO_SHARED_KEYS: {hint}")
    assert CANARY not in problem


@pytest.mark.parametrize(
    ("given", "rung"),
    [
        ("", []),
        ("off", []),
        ("on", ["+19002345678", "+870773111632"]),
        ("+1900", ["+19002345678"]),
        ("+870,+1900", ["+19002345678", "+870773111632"]),
        ("+870\n+1900", ["+19002345678", "+870773111632"]),
    ],
)
def test_costly_destinations_are_off_on_or_named(given: str, rung: list[str]) -> None:
    dialling = Dialling(load_settings({"CALLROUTER_PREMIUM_DESTINATIONS": given}).premium_prefixes)
    assert [phone for phone in ("+19002345678", "+870773111632") if dialling.allows(phone)] == rung


@pytest.mark.parametrize("given", ["yes", "1900", "+0", "on,+1900", "+1900 off", "+", ","])
def test_other_costly_destinations_are_refused(given: str) -> None:
    problem = problem_of({"CALLROUTER_PREMIUM_DESTINATIONS": given})
    assert (
        problem == "CALLROUTER_PREMIUM_DESTINATIONS: must be on, off, or prefixes of phone numbers, such as +1900,+870"
    )


def test_mail_needs_a_server_and_a_sender() -> None:
    problem = problem_of({"CALLROUTER_MAIL_FROM": "calls@example.com"})
    assert problem == "CALLROUTER_SMTP_URL and CALLROUTER_MAIL_FROM: set both or neither"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_be_in_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{secret_of(name)}\n")
    environ = {**WITH_DATABASE, "CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT, "CALLROUTER_TWILIO_AUTH_TOKEN": "x"}
    environ |= {"CALLROUTER_SMTP_URL": "smtp://localhost", "CALLROUTER_MAIL_FROM": "calls@example.com"}
    environ.pop(env_name(name), None)
    settings = load_settings({**environ, f"{env_name(name)}_FILE": str(file)})
    assert getattr(settings, name).get_secret_value() == secret_of(name)


def test_a_secret_given_twice_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    problem = problem_of({"CALLROUTER_ADMIN_TOKEN": CANARY, "CALLROUTER_ADMIN_TOKEN_FILE": str(file)})
    assert problem.startswith("CALLROUTER_ADMIN_TOKEN and CALLROUTER_ADMIN_TOKEN_FILE:")


@pytest.mark.parametrize(("path", "reason"), [("nowhere", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str, reason: str) -> None:
    problem = problem_of({"CALLROUTER_ADMIN_TOKEN_FILE": str(tmp_path / path)})
    assert problem.startswith("CALLROUTER_ADMIN_TOKEN_FILE: cannot read the file")
    assert reason in problem


def test_a_file_of_another_encoding_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe" + CANARY.encode())
    problem = problem_of({"CALLROUTER_ADMIN_TOKEN_FILE": str(file)})
    assert problem.startswith("CALLROUTER_ADMIN_TOKEN_FILE: ")
    assert CANARY not in problem


def test_printed_settings_contain_no_secret() -> None:
    environ = {env_name(name): secret_of(name) for name in SECRETS} | {
        "CALLROUTER_TWILIO_ACCOUNT_SID": ACCOUNT,
        "CALLROUTER_MAIL_FROM": "calls@example.com",
    }
    settings = load_settings(environ)
    for shown in (repr(settings), str(settings), f"{settings}", settings.model_dump_json(), str(settings.model_dump())):
        assert CANARY not in shown


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_no_value_is_repeated_in_an_error(name: str) -> None:
    environ = {env_name(name): f"\x00{CANARY}", "CALLROUTER_PORT": CANARY, "CALLROUTER_TWILIO_ACCOUNT_SID": CANARY}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    chain = [caught.value, caught.value.__cause__]
    assert caught.value.__suppress_context__
    assert CANARY not in "".join(f"{error!r}{error}{getattr(error, 'args', '')}" for error in chain)


def test_a_short_admin_token_is_refused_without_being_shown() -> None:
    problem = problem_of({"CALLROUTER_ADMIN_TOKEN": "hunter2"})
    assert problem.startswith("CALLROUTER_ADMIN_TOKEN: ")
    assert "16" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel_collector:4318/"}, "http://otel_collector:4318/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://d/in"},
            "https://d/in",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_traces_go_where_opentelemetrys_own_variables_say(environ: dict[str, str], endpoint: str | None) -> None:
    assert load_settings(environ).traces_endpoint == endpoint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:word@collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", CANARY),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer {CANARY},x-{CANARY}"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ],
)
def test_a_mistake_in_a_variable_of_opentelemetry_is_named(name: str, value: str) -> None:
    problem = problem_of({name: value})
    assert problem.startswith(f"{name}: ")
    assert CANARY not in problem


def test_headers_for_the_collector_may_hold_a_space() -> None:
    headers = f"authorization=Bearer {CANARY}"
    settings = load_settings({"OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert settings.otel_exporter_otlp_headers is not None
    assert settings.otel_exporter_otlp_headers.get_secret_value() == headers


def make_secrets() -> dict[str, Any]:
    made = iter(f"made-{number}-{CANARY}" for number in range(100))
    return {name: lambda: next(made) for name in ("platform_keys", "fallback_keys", "admin_token")}


def test_missing_secrets_are_generated_once(tmp_path: Path) -> None:
    settings = load_settings({"CALLROUTER_DATA_DIR": str(tmp_path / "data")})
    first = generate_missing(settings, make_secrets())
    second = generate_missing(settings, {name: lambda: "another" for name in make_secrets()})
    values = [getattr(first, name).get_secret_value() for name in make_secrets()]
    assert len(set(values)) == 3
    assert first == second
    assert CANARY not in repr(first)


def test_generated_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    settings = load_settings({"CALLROUTER_DATA_DIR": str(tmp_path / "data")})
    generate_missing(settings, make_secrets())
    files = sorted((tmp_path / "data" / "secrets").iterdir())
    assert [file.name for file in files] == ["admin-token", "fallback-keys", "platform-keys"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700


def test_a_secret_that_is_set_is_not_generated(tmp_path: Path) -> None:
    environ = {"CALLROUTER_DATA_DIR": str(tmp_path), "CALLROUTER_ADMIN_TOKEN": CANARY}
    settings = generate_missing(load_settings(environ), make_secrets())
    assert settings.admin_token is not None
    assert settings.admin_token.get_secret_value() == CANARY
    assert not (tmp_path / "secrets" / "admin-token").exists()


def test_settings_reach_a_worker_process_as_they_are() -> None:
    settings = load_settings(WITH_DATABASE)
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).port = 1  # type: ignore[misc]
