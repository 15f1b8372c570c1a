"""What env files, shells and editors leave around a setting is removed, or refused in one line that doesn't repeat it."""

from __future__ import annotations

import base64
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.registry import PROVIDERS, settings_of
from router.environment import clean, find_stray_names
from router.settings import Settings, SettingsError, env_name, is_secret, load_settings

CANARY = "c4nary-7f3b91e2d5a864"
SID = "AC" + "0123456789abcdef" * 2
TOKEN = "89abcdef01234567" * 2
KEY = base64.b64encode(b"k" * 32).decode()
VALUES = {
    "DATABASE_URL": "postgres://user:pass@db.example.com:5432/calls",
    "CALLROUTER_DATABASE_DIRECT_URL": "postgres://user:pass@db.example.com:5432/calls",
    "CALLROUTER_DATA_DIR": "/var/lib/callrouter",
    "CALLROUTER_PUBLIC_URL": "https://calls.example.com/base",
    "CALLROUTER_FALLBACK_URL": "https://fallback.example.com",
    "CALLROUTER_PLATFORM_KEYS": f"k1:{KEY}",
    "CALLROUTER_FALLBACK_KEYS": f"k1:{KEY}",
    "CALLROUTER_ADMIN_TOKEN": "admin_0123456789abcdef",
    "CALLROUTER_TWILIO_ACCOUNT_SID": SID,
    "CALLROUTER_TWILIO_AUTH_TOKEN": TOKEN,
    "CALLROUTER_TWILIO_SHARED_KEYS": "webhooks_sharedkey_1:shared-key",
    "CALLROUTER_TWILIO_URL": "https://api.example.com",
    "CALLROUTER_VAPI_URL": "https://vapi.example.com",
    "CALLROUTER_RETELL_URL": "https://retell.example.com",
    "CALLROUTER_RETELL_SIP": "sip.example.com;transport=tcp",
    "CALLROUTER_BLAND_URL": "https://bland.example.com",
    "CALLROUTER_BLAND_SIP": "sip.example.com:5061;transport=tls",
    "CALLROUTER_ELEVENLABS_URL": "https://elevenlabs.example.com",
    "CALLROUTER_PREMIUM_DESTINATIONS": "+1900,+870",
    "CALLROUTER_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1",
    "CALLROUTER_PRIVATE_ENDPOINTS": "on",
    "CALLROUTER_SMTP_URL": "smtp://user:pass@mail.example.com:587",
    "CALLROUTER_MAIL_FROM": "calls@example.com",
    "CALLROUTER_LOG_LEVEL": "warning",
    "CALLROUTER_LOG_FORMAT": "json",
    "CALLROUTER_LOG_NUMBERS": "full",
    "CALLROUTER_HOST": "192.0.2.7",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com:4318",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example.com:4318/v1/traces",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=calls",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_SERVICE_NAME": "calls",
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.5",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_SDK_DISABLED": "true",
}
NUMBERS = {
    env_name(field): "20"
    for field, info in Settings.model_fields.items()
    if not info.exclude and env_name(field) not in VALUES and field not in ("answer_deadline", "header_bytes")
}
NUMBERS |= {"CALLROUTER_ANSWER_DEADLINE": "12", "CALLROUTER_HEADER_BYTES": "16384", "CALLROUTER_HEADER_FIELDS": "60"}
ALL = VALUES | NUMBERS
DIRT = {
    "a trailing newline": "{}\n",
    "a trailing CRLF": "{}\r\n",
    "a trailing CR": "{}\r",
    "spaces": "  {}\t ",
    "a no-break space": "\u00a0{}\u00a0",
    "double quotes": '"{}"',
    "single quotes": "'{}'",
    "quotes and a CR": '"{}"\r',
    "quotes of a word processor": "\u201c{}\u201d",
    "quotes twice": "\"'{}'\"",
    "spaces inside the quotes": '" {} "',
    "a byte order mark": "\ufeff{}",
    "a zero-width space": "{}\u200b",
}
REFUSED = {
    "an opening quote alone": '"{}',
    "a closing quote alone": "{}'",
    "an invisible character inside": "{}\u200bx",
    "a control character inside": "{}\x07x",
    "a comment behind it": "{} # the one for production",
    "a line break as C writes it": "{}\\n",
    "a line break of Windows as C writes it": "{}\\r\\n",
}
PLACEHOLDERS = {
    "a shell's variable": "$TOKEN_OF_ACME",
    "a shell's variable in braces": "${{TOKEN_OF_ACME}}",
    "a command": "$(cat /run/secrets/acme)",
    "a variable of Windows": "%TOKEN_OF_ACME%",
    "a blank to be filled": "<your token here>",
    "a template's variable": "{{{{ token_of_acme }}}}",
}


def load(environ: dict[str, str]) -> Settings:
    return load_settings(environ, declared=settings_of(PROVIDERS))


def test_every_setting_is_looked_at_here() -> None:
    fields = [field for field, info in Settings.model_fields.items() if not info.exclude]
    assert set(ALL) == {env_name(field) for field in (*fields, *settings_of(PROVIDERS))}


@pytest.mark.parametrize("dirt", DIRT)
def test_what_is_around_a_value_is_removed_from_every_setting(dirt: str) -> None:
    assert load({name: DIRT[dirt].format(value) for name, value in ALL.items()}) == load(ALL)


@pytest.mark.parametrize("dirt", REFUSED)
def test_what_does_not_belong_into_a_value_is_refused_in_one_line_for_every_setting(dirt: str) -> None:
    for name, value in ALL.items():
        if name == "CALLROUTER_MAIL_FROM" and ("quote" in dirt or "comment" in dirt):
            continue  # a sender may be written "Acme" <calls@example.com>, or Acme #1 <calls@example.com>
        with pytest.raises(SettingsError) as caught:
            load(ALL | {name: REFUSED[dirt].format(value)})
        (problem,) = caught.value.problems
        assert problem.startswith(f"{name}: ")
        assert len(value) < len("warning") or value not in problem
        assert "\n" not in problem


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_that_nothing_replaced_is_refused_for_every_setting(placeholder: str) -> None:
    for name in ALL:
        with pytest.raises(SettingsError) as caught:
            load(ALL | {name: PLACEHOLDERS[placeholder].format()})
        (problem,) = caught.value.problems
        assert problem.startswith(f"{name}: ")
        assert "ACME" not in problem.upper()


@pytest.mark.parametrize("nothing", ["", " ", "\n", '""', "''", '" "', "\ufeff", "\r"])
def test_a_value_that_is_nothing_is_unset(nothing: str) -> None:
    assert load(dict.fromkeys(ALL, nothing)) == load({})


@pytest.mark.parametrize(
    "secret", [env_name(field) for field, info in Settings.model_fields.items() if is_secret(info) and not info.exclude]
)
def test_a_secret_in_a_file_is_read_likewise(secret: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for dirt in DIRT.values():
        file.write_bytes(dirt.format(ALL[secret]).encode())
        environ = {name: value for name, value in ALL.items() if name != secret}
        assert load(environ | {f"{secret}_FILE": f'"{file}"\r'}) == load(ALL)


@pytest.mark.parametrize(
    "token",
    [
        f"{TOKEN} # production",
        f"{TOKEN} {TOKEN}",
        f"{TOKEN}\n{TOKEN}",
        f"{TOKEN}\\n",
        f"{TOKEN}=é",
        f"{TOKEN};",
        f"{TOKEN},",
        f"CALLROUTER_TWILIO_AUTH_TOKEN={TOKEN}",
        f"prefix-${{SUFFIX}}{TOKEN}",
        base64.b64encode(TOKEN.encode()).decode(),  # a Kubernetes secret that was encoded twice
        SID,
        "SK" + "0" * 32,
    ],
)
def test_what_cannot_be_a_twilio_token_stops_the_start(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_TWILIO_ACCOUNT_SID": SID, "CALLROUTER_TWILIO_AUTH_TOKEN": token})
    (problem,) = caught.value.problems
    assert problem.startswith("CALLROUTER_TWILIO_AUTH_TOKEN: ")
    assert TOKEN not in problem


@pytest.mark.parametrize("sid", [SID[:-1], f"{SID}0", "SK" + SID[2:], SID.lower(), "AC" + "g" * 32])
def test_what_cannot_be_an_account_stops_the_start(sid: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_TWILIO_ACCOUNT_SID": sid, "CALLROUTER_TWILIO_AUTH_TOKEN": TOKEN})
    assert caught.value.problems == ["CALLROUTER_TWILIO_ACCOUNT_SID: must be AC followed by 32 hexadecimal digits"]


@pytest.mark.parametrize(
    "address",
    [
        "https://calls.example.com/a b",
        "https://bücher.example",
        "https://${HOST}",
        "https://$HOST/base",
        "https://calls.example.com/${BASE}",
        "https://%HOST%",
        "https://{{host}}",
        "https://<your-host>",
        "https://*.example.com",
        "https://calls.example.com;",
        "https://calls.example.com,",
        "https://calls.example.com\\",
        'https://calls.example.com/a"b',
        "https://calls..example.com",
        "https://-calls.example.com",
        "https://https://calls.example.com",
        "https://192.0.2",
        f"https://{'a' * 64}.example.com",
    ],
)
def test_an_address_that_twilio_would_sign_in_another_form_stops_the_start(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_PUBLIC_URL": address})
    (problem,) = caught.value.problems
    assert problem.startswith("CALLROUTER_PUBLIC_URL: must be ")


@pytest.mark.parametrize("token", ["é" * 20, "ａｄｍｉｎ＿0123456789abcdef", 'admin"0123456789abcdef'])
def test_an_admin_token_that_no_header_can_carry_stops_the_start(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_ADMIN_TOKEN": token})
    (problem,) = caught.value.problems
    assert problem.startswith("CALLROUTER_ADMIN_TOKEN: must have only ")


@pytest.mark.parametrize(
    "server", ["sip:sip.example.com;transport=tcp", "sips:sip.example.com", "call@sip.example.com"]
)
def test_a_sip_server_is_named_without_scheme_and_user(server: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_RETELL_SIP": server})
    assert caught.value.problems == ["CALLROUTER_RETELL_SIP: must be like sip.example.com:5061;transport=tls"]


def test_the_data_directory_may_be_in_the_home_directory_but_not_behind_a_variable() -> None:
    assert load({"CALLROUTER_DATA_DIR": "~/calls"}).data_dir == Path.home() / "calls"
    with pytest.raises(SettingsError) as caught:
        load({"CALLROUTER_DATA_DIR": "${HOME}/calls"})
    assert caught.value.problems[0].startswith("CALLROUTER_DATA_DIR: must be a path without variables")


@pytest.mark.parametrize("name", ["callrouter_public_url", "CallRouter_Public_URL", "set CALLROUTER_PUBLIC_URL"])
def test_a_name_in_lower_case_is_not_overlooked(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: "https://calls.example.com"})
    assert caught.value.problems[0].startswith("CALLROUTER_PUBLIC_URL: its name ")


@pytest.mark.parametrize("name", ["\ufeff{}", "{} ", " {}", "export {}", "\ufeffexport {}", "export\t{}", '"{}"'])
def test_a_name_with_something_in_front_is_not_overlooked(name: str) -> None:
    for setting in ("DATABASE_URL", "CALLROUTER_TWILIO_AUTH_TOKEN_FILE", "CALLROUTER_VAPI_URL"):
        with pytest.raises(SettingsError) as caught:
            load({name.format(setting): CANARY})
        (problem,) = caught.value.problems
        assert problem.startswith(f"{setting}: ")
        assert CANARY not in problem


def test_names_of_others_are_left_alone() -> None:
    assert (
        find_stray_names(["PATH", " HOME", "CALLROUTER_UNKNOWN ", "MY_DATABASE_URL", "database_url"], {"DATABASE_URL"})
        == []
    )


plain = st.text(string.ascii_letters + string.digits + "+/=_-.:@", min_size=1)
around = st.text(" \t\r\n\u00a0\ufeff\u200b", max_size=4)


@given(around, around, st.sampled_from(["", '"', "'", "`"]), plain, around, around)
def test_cleaning_finds_the_value(before: str, opening: str, quote: str, value: str, closing: str, after: str) -> None:
    assert clean(f"{before}{quote}{opening}{value}{closing}{quote}{after}") == value


@given(st.text())
def test_what_was_cleaned_is_clean(text: str) -> None:
    try:
        value = clean(text)
    except ValueError:
        return
    assert clean(value) == value
