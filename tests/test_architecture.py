"""The pages about the architecture name files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("architecture.md"))
PATH = re.compile(r"`((?:router|adapters|crypto|tests|deploy|docs)/[\w./-]+)`")
NAME = re.compile(r"`(router/[\w./]+\.py)` \(`(\w+)`(?:, `(\w+)`)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_on_the_page_is_there(page: Path):
    missing = [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_on_the_page_is_in_its_file(page: Path):
    for path, *names in NAME.findall(page.read_text()):
        source = (ROOT / path).read_text()
        assert [name for name in names if name and not re.search(rf"\b{name}\b", source)] == [], path
