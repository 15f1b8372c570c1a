"""The image's recipe; `make image` builds it, in a run of its own."""

from __future__ import annotations

import re

from tests.router.cli.commands import ROOT

RECIPE = (ROOT / "deploy" / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()


def test_only_what_the_image_is_made_of_travels_to_the_build():
    assert IGNORED[1] == "*"
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", RECIPE, re.MULTILINE) for name in line.split()}
    assert {line[1:] for line in IGNORED if line.startswith("!")} == copied


def test_the_user_is_a_number_and_the_base_is_pinned():
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", RECIPE, re.MULTILINE)
    assert re.search(r"^ARG PYTHON_IMAGE=\S+:\d+\.\d+\.\d+-\S+@sha256:[0-9a-f]{64}$", RECIPE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2


def test_the_check_asks_where_every_service_answers():
    assert "CALLROUTER_OPS_PORT=8081" in RECIPE
    assert "environ['CALLROUTER_OPS_PORT']}/livez" in RECIPE
