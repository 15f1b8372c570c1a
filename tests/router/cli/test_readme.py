"""The documentation matches the code: settings and defaults, commands, API requests, links and make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from starlette.routing import compile_path

from adapters.registry import PROVIDERS, settings_of
from router.api.app import api_operations
from router.cli.example import describe_all, make_example
from tests.router.cli.commands import APP, ROOT

README = (ROOT / "README.md").read_text()
SETTINGS = {one.name: one for one in describe_all(settings_of(PROVIDERS))}
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]


MADE_BY_PEOPLE = {"deploy/callrouter.env", "deploy/secrets", "deploy/secrets/more"}
NO_METRICS = {"callrouter_transfer", "callrouter_runbook"}  # a function of assistants, a label of Prometheus


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def sections_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def table(heading: str) -> list[list[str]]:
    """The first table below a heading, without its head."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_setting_is_named_once_in_the_order_of_the_code():
    assert [row[0].strip("`") for row in table("Settings")] == list(SETTINGS)


@pytest.mark.parametrize("row", table("Settings"), ids=lambda row: row[0])
def test_settings_are_described_as_in_the_code(row):
    name, meaning, default = row
    described = SETTINGS[name.strip("`")]
    assert meaning == described.meaning
    assert default == ("unset" if described.default is None else f"`{described.default}`")
    assert ("secret" in meaning) == described.is_secret


def test_the_example_environment_is_made_from_the_settings():
    hint = "update it with `python -m router.cli.example > .env.example`"
    assert (ROOT / ".env.example").read_text() == make_example(settings_of(PROVIDERS)), hint


def test_the_example_environment_changes_nothing():
    example = (ROOT / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") for line in example if line)
    assert [line[1:].partition("=")[0] for line in example if re.match(r"#[A-Z_]+=", line)] == list(SETTINGS)


def test_every_command_is_named():
    group = typer.main.get_command(APP)
    names = {
        f"{name} {below}".strip()
        for name, command in group.commands.items()
        for below in getattr(command, "commands", {"": None})
    }
    assert {row[0].strip("`").removeprefix("callrouter ") for row in table("Commands")} == names


def test_the_requests_of_the_examples_exist():
    examples = re.findall(r"""\bapi (GET|POST|PUT) "?(/[^\s"?`]*)""", README)
    assert len(examples) > 7
    served = [(each.method, compile_path(each.path)[0]) for each in api_operations(PROVIDERS)]
    for method, path in examples:
        assert any(method == verb and pattern.match(f"/v1{path}") for verb, pattern in served), f"{method} {path}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, section = link.partition("#")
        target = page.parent / path if path else page
        assert link.startswith("https://") or target.exists(), link
        assert not section or link.startswith("https://") or section in sections_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_settings_and_metrics_that_a_page_names_exist(page):
    text = page.read_text()
    paths = set(re.findall(r"`((?:router|adapters|crypto|tests|deploy|docs)/[\w./-]+)`", text))
    assert {path for path in paths if not (ROOT / path).exists()} <= MADE_BY_PEOPLE
    assert set(re.findall(r"\bCALLROUTER_[A-Z_]+[A-Z]\b", text)) <= {*SETTINGS, *(f"{name}_FILE" for name in SETTINGS)}
    metrics = set(re.findall(r"\bcallrouter_\w+?(?=_bucket\b|_count\b|_sum\b|\b)", text)) - NO_METRICS
    assert metrics <= set(re.findall(r"callrouter_\w+", (ROOT / "docs" / "metrics.md").read_text()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_a_page_names_exist(page):
    commands = typer.main.get_command(APP).commands
    for name, below in re.findall(r"(?:`|bin/)callrouter ([a-z]+)(?: ([a-z]+))?", page.read_text()):
        assert name in commands
        assert not below or below in getattr(commands[name], "commands", {below: None})


def test_every_make_target_that_the_pages_name_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert {"run", "test", "check", "lock", "matrix", "chaos", "bench"} <= told
    assert told <= targets
