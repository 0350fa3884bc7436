"""Session pools as ARM clients see them: Azure's own SDK over TLS, and what az sends, in its order."""

import os
import subprocess
import sys
import time
import uuid

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.appcontainers import ContainerAppsAPIClient

from native import ROOT

sys.path.append(os.path.join(ROOT, "tests", "images"))
from archives import docker_save, file, layer  # noqa: E402

GROUP = "group-1"
EXECUTOR_ROLE = "0fb8eba5-a2bb-4abe-b1c1-49dfad359bb0"


class Credential:
    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **options):
        assert scopes == ("https://management.azure.com/.default",)
        return AccessToken(self.token, int(time.time()) + 3600)


@pytest.fixture
def pools(hearthd):
    certificates = hearthd.path("certs")
    subprocess.run([os.path.join(ROOT, "build", "hearth"), "cert", "init", "--directory", certificates], check=True,
                   stdout=subprocess.DEVNULL)
    hearthd.start("--tls-certificate", f"{certificates}/server.pem", "--tls-key", f"{certificates}/server-key.pem")
    client = ContainerAppsAPIClient(Credential(hearthd.token), str(uuid.uuid4()), base_url=hearthd.url,
                                    connection_verify=f"{certificates}/ca.pem", retry_total=0)
    with client:
        yield client.container_apps_session_pools


def test_azure_sdk_makes_changes_lists_and_deletes_a_pool(pools):
    lifecycle = {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 300}
    asked = {"location": "East Asia", "tags": {"team": "a"}, "properties": {
        "poolManagementType": "Dynamic", "containerType": "PythonLTS",
        "scaleConfiguration": {"maxConcurrentSessions": 10, "readySessionInstances": 0},
        "dynamicPoolConfiguration": {"lifecycleConfiguration": lifecycle},
        "sessionNetworkConfiguration": {"status": "EgressDisabled"}}}
    pool = pools.begin_create_or_update(GROUP, "analysis", asked).result(timeout=30)
    assert pool.properties.provisioning_state == "Succeeded"
    assert pool.location == "East Asia" and pool.tags == {"team": "a"}
    assert pool.id.endswith(f"/resourceGroups/{GROUP}/providers/Microsoft.App/sessionPools/analysis")
    assert pool.properties.pool_management_endpoint.startswith("https://127.0.0.1:")
    assert pool.properties.dynamic_pool_configuration.lifecycle_configuration.cooldown_period_in_seconds == 300

    changed = pools.begin_update(GROUP, "analysis", {"properties": {
        "scaleConfiguration": {"maxConcurrentSessions": 7}}}).result(timeout=30)
    assert changed.properties.scale_configuration.max_concurrent_sessions == 7
    assert changed.tags == {"team": "a"}
    assert pools.get(GROUP, "analysis").properties.scale_configuration.max_concurrent_sessions == 7
    for listed in pools.list_by_subscription(), pools.list_by_resource_group(GROUP):
        assert {p.name for p in listed} == {"default", "analysis"}

    pools.begin_delete(GROUP, "analysis").result(timeout=30)
    with pytest.raises(ResourceNotFoundError) as refused:
        pools.get(GROUP, "analysis")
    assert refused.value.error.code == "ResourceNotFound"
    pools.begin_delete(GROUP, "analysis").result(timeout=30)


@pytest.fixture
def image(hearthd):
    name = "registry.example/app:1"
    archive = docker_save(hearthd.path("app.tar"), layer(file("app")), tags=(name,), config={})
    subprocess.run([os.path.join(ROOT, "build", "hearth"), "image", "import", archive, name, "--image-dir",
                    hearthd.path("container-images")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return name


def test_azure_sdk_makes_a_pool_of_containers(pools, image):
    made = pools.begin_create_or_update(GROUP, "containers", {"location": "East Asia", "properties": {
        "containerType": "CustomContainer", "environmentId": "/e", "secrets": [{"name": "key", "value": "hidden"}],
        "scaleConfiguration": {"maxConcurrentSessions": 5, "readySessionInstances": 0},
        "customContainerTemplate": {"containers": [{
            "image": image, "name": "app", "command": ["/app"], "args": ["--serve"],
            "env": [{"name": "KEY", "secretRef": "key"}], "resources": {"cpu": 0.5, "memory": "1Gi"}}],
            "ingress": {"targetPort": 8080}}}}).result(timeout=30)
    shown = pools.get(GROUP, "containers")
    for pool in made, shown:
        container = pool.custom_container_template.containers[0]
        assert (pool.container_type, container.image, container.command) == ("CustomContainer", image, ["/app"])
        assert (container.env[0].secret_ref, container.resources.cpu) == ("key", 0.5)
        assert pool.custom_container_template.ingress.target_port == 8080
        assert [secret.name for secret in pool.secrets] == ["key"]
        assert "hidden" not in str(pool.as_dict())
    pools.begin_delete(GROUP, "containers").result(timeout=30)


def test_azure_sdk_reads_what_is_refused(pools):
    with pytest.raises(HttpResponseError) as refused:
        pools.begin_create_or_update(GROUP, "analysis", {"location": "East Asia", "properties": {
            "containerType": "GpuBase"}})
    assert refused.value.status_code == 400
    assert "Valid types are" in refused.value.error.message
    with pytest.raises(HttpResponseError) as refused:
        pools.begin_create_or_update(GROUP, "analysis", {"location": "East Asia", "properties": {
            "scaleConfiguration": {"maxConcurrentSessions": 100000}}})
    assert refused.value.error.code == "SessionRequestValidationFailed"


# ---- az ---------------------------------------------------------------------------------------------------------------

SUBSCRIPTION = "subscriptions/00000000-0000-0000-0000-000000000000"
POOL = f"{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.App/sessionPools/pool1"
CREATE = {"location": "eastasia", "properties": {
    "environmentId": None, "poolManagementType": "Dynamic", "containerType": "PythonLTS", "customContainerTemplate": None,
    "secrets": None, "dynamicPoolConfiguration": {"executionType": "Timed", "cooldownPeriodInSeconds": "300"},
    "scaleConfiguration": {"maxConcurrentSessions": 3, "readySessionInstances": 5},
    "sessionNetworkConfiguration": {"status": "EgressDisabled"}},
    "identity": {"type": "None", "userAssignedIdentities": None}}


def arm(hearthd, method, path, version="2024-10-02-preview", **options):
    answer = hearthd.request(method, path, params={"api-version": version}, **options)
    uuid.UUID(answer.headers["x-ms-request-id"])
    assert answer.headers["x-ms-correlation-request-id"] and version in answer.headers["api-supported-versions"]
    return answer


def test_what_az_sends_to_make_and_delete_a_pool(hearthd):
    hearthd.start()
    provider = hearthd.get(f"{SUBSCRIPTION}/providers/Microsoft.App", params={"api-version": "2024-11-01"}).json()
    assert provider["registrationState"] == "Registered"
    kind = next(t for t in provider["resourceTypes"] if t["resourceType"] == "sessionPools")
    assert "eastasia" in {location.lower().replace(" ", "") for location in kind["locations"]}
    assert "2025-10-02-preview" in kind["apiVersions"]

    answer = arm(hearthd, "PUT", POOL, json=CREATE)
    assert answer.status_code == 201
    properties = answer.json()["properties"]
    assert properties["provisioningState"] == "Succeeded" and "azure-asyncoperation" not in answer.headers
    assert properties["dynamicPoolConfiguration"] == {"executionType": "Timed", "cooldownPeriodInSeconds": 300}
    assert properties["scaleConfiguration"] == {"maxConcurrentSessions": 3, "readySessionInstances": 3}

    role = {"properties": {"principalId": str(uuid.uuid4()), "roleDefinitionId":
                           f"/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{EXECUTOR_ROLE}"}}
    assignment = f"{POOL}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    answer = hearthd.request("PUT", assignment, params={"api-version": "2022-04-01"}, json=role)
    assert answer.status_code == 201 and answer.json()["properties"] == role["properties"]
    role["properties"]["roleDefinitionId"] = role["properties"]["roleDefinitionId"][:-1] + "f"
    answer = hearthd.request("PUT", assignment, json=role)
    assert answer.status_code == 409 and "API key" in answer.json()["error"]["message"]

    answer = arm(hearthd, "PATCH", POOL, "2025-02-02-preview", json={"properties": {
        "scaleConfiguration": {"maxConcurrentSessions": 20}}})
    assert answer.status_code == 200 and answer.json()["name"] == "pool1"
    lifecycle = answer.json()["properties"]["dynamicPoolConfiguration"]["lifecycleConfiguration"]
    assert lifecycle == {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 300}
    assert [p["name"] for p in arm(hearthd, "GET", f"{SUBSCRIPTION}/providers/Microsoft.App/sessionPools").json()
            ["value"]] == ["default", "pool1"]
    answer = arm(hearthd, "DELETE", POOL)
    assert answer.status_code == 204 and not answer.content


def test_what_else_arm_clients_look_at(hearthd):
    hearthd.start()
    environment = f"{SUBSCRIPTION}/resourcegroups/{GROUP}/providers/microsoft.app/managedenvironments/env-1"
    answer = arm(hearthd, "GET", environment).json()
    assert answer["name"] == "env-1" and answer["properties"]["provisioningState"] == "Succeeded"
    for kind in "operationStatuses", "operationResults":
        answer = arm(hearthd, "GET", f"{SUBSCRIPTION}/providers/Microsoft.App/locations/eastasia/{kind}/{uuid.uuid4()}")
        assert answer.status_code == 404 and answer.headers["x-ms-error-code"] == "OperationNotFound"
    answer = arm(hearthd, "GET", POOL, headers={"x-ms-correlation-request-id": "mine", "x-ms-client-request-id": "c-1"})
    assert answer.status_code == 404 and answer.headers["x-ms-correlation-request-id"] == "mine"
    assert answer.headers["x-ms-client-request-id"] == "c-1"
    assert arm(hearthd, "GET", POOL, token=False).status_code == 401
    for name in "%FF%FE", "%22", "%00":
        assert hearthd.get(environment.replace("env-1", name)).status_code in (200, 400)
    assert hearthd.get("subscriptions/%FF/providers/Microsoft.App").status_code == 200
