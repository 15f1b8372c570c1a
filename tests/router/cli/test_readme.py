"""The README says what is so: settings and their defaults, commands, addresses of the API, and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from starlette.routing import compile_path

from router.api.app import api_operations
from router.cli import app
from router.settings import Settings, env_name
from tests.router.cli.commands import ROOT

NAMES = ("vapi", "retell", "bland")
README = (ROOT / "README.md").read_text()
FIELDS = {env_name(name): info for name, info in Settings.model_fields.items() if not info.exclude}


def table(heading: str) -> list[list[str]]:
    """The first table below a heading, without its head."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_setting_is_named_once_in_the_order_of_the_code():
    assert [row[0].strip("`") for row in table("Settings")] == list(FIELDS)


@pytest.mark.parametrize("row", table("Settings"), ids=lambda row: row[0])
def test_defaults_are_those_of_the_code(row):
    name, meaning, default = row
    field = FIELDS[name.strip("`")]
    if field.default_factory is None and field.default is not None:
        assert default == f"`{field.default}`"
    assert ("secret" in meaning) == ("SecretStr" in str(field.annotation))


def test_every_command_is_named():
    group = typer.main.get_command(app)
    names = {
        f"{name} {below}".strip()
        for name, command in group.commands.items()
        for below in getattr(command, "commands", {"": None})
    }
    assert {row[0].strip("`").removeprefix("callrouter ") for row in table("Commands")} == names


def test_the_requests_of_the_examples_exist():
    examples = re.findall(r"""\bapi (GET|POST|PUT) "?(/[^\s"?`]*)""", README)
    assert len(examples) > 7
    served = [(each.method, compile_path(each.path)[0]) for each in api_operations(NAMES)]
    for method, path in examples:
        assert any(method == verb and pattern.match(f"/v1{path}") for verb, pattern in served), f"{method} {path}"


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *(f"docs/{each.name}" for each in ROOT.glob("docs/*.md"))]
)
def test_links_lead_somewhere(page):
    file = ROOT / page
    for link in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
        assert link.startswith("https://") or (Path(file.parent) / link).exists(), link


def test_what_the_texts_tell_people_to_make_can_be_made():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
    told = {name for page in pages for name in re.findall(r"`make ([a-z]+)", page.read_text())}
    assert told == {"run", "test", "matrix", "chaos", "bench"}
    assert told <= targets
