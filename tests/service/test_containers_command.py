"""What `hearth` has for pools of containers, against hearthd with an image that was imported; no container starts."""

import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "images"))
from archives import docker_save, file, layer  # noqa: E402

HEARTH = os.path.join(ROOT, "build", "hearth")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for tag in "app:1", "app:2":
        archive = docker_save(folder / "archive.tar", layer(file("app", tag.encode())), tags=(tag,),
                              config={"Entrypoint": ["/app"]})
        subprocess.run([HEARTH, "image", "import", archive, tag, "--image-dir", folder / "store"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return str(folder / "store")


@pytest.fixture
def hearthd(start, images):
    return start("--image-dir", images)


def order(hearthd, *arguments):
    result = hearthd.hearth("sessionpool", *arguments, "-o", "json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["properties"]


def refused(hearthd, *arguments):
    result = hearthd.hearth("sessionpool", *arguments)
    assert result.returncode == 2, (result.stdout, result.stderr)
    return result.stderr


CREATE = ("create", "Web", "--image", "app:1", "--target-port", "8080", "--ready-sessions", "0")


def test_create_makes_a_pool_of_containers(hearthd):
    pool = order(hearthd, *CREATE, "--environment", "e", "--cpu", "0.5", "--memory", "0.5Gi", "--env-vars", "MODE=fast",
                 "KEY=secretref:key", "--secrets", "key=hidden", "--command", "/app", "sub", "--args=-v", "a b",
                 "--startup-probe", "http:8080/health", "--max-alive-period", "600")
    assert pool["containerType"] == "CustomContainer" and pool["secrets"] == [{"name": "key"}]
    assert pool["customContainerTemplate"] == {
        "containers": [{
            "image": "app:1", "name": "web", "command": ["/app", "sub"], "args": ["-v", "a b"],
            "env": [{"name": "MODE", "value": "fast"}, {"name": "KEY", "secretRef": "key"}],
            "probes": [{"type": "Startup", "httpGet": {"path": "/health", "port": 8080}}],
            "resources": {"cpu": 0.5, "memory": "0.5Gi"}}],
        "ingress": {"targetPort": 8080}}
    lifecycle = pool["dynamicPoolConfiguration"]["lifecycleConfiguration"]
    assert lifecycle["maxAlivePeriodInSeconds"] == 600 and lifecycle["lifecycleType"] in ("OnContainerExit", "MaxLifetime")
    assert "\tapp:1\n" in hearthd.hearth("sessionpool", "list", "-o", "tsv").stdout


def test_an_update_of_the_image_keeps_the_rest(hearthd):
    before = order(hearthd, *CREATE, "--cpu", "0.5", "--env-vars", "KEY=secretref:key", "--secrets", "key=hidden", "other=x",
                   "--liveness-probe", "tcp:8080")
    after = order(hearthd, "update", "Web", "--image", "app:2")
    before["customContainerTemplate"]["containers"][0]["image"] = "app:2"
    assert after == before
    after = order(hearthd, "update", "Web", "--memory", "2Gi", "--env-vars", "", "--secrets", "other", "--target-port", "81",
                  "--liveness-probe", "")
    container = after["customContainerTemplate"]["containers"][0]
    assert container["image"] == "app:2" and container["resources"] == {"cpu": 0.5, "memory": "2Gi"} == after["resources"]
    assert not container.get("env") and not container.get("probes") and after["secrets"] == [{"name": "other"}]
    assert after["customContainerTemplate"]["ingress"] == {"targetPort": 81}


def test_snapshot_is_kept(hearthd):
    pool = order(hearthd, *CREATE, "--snapshot", "BeforeEntrypoint")
    assert pool["customContainerTemplate"]["snapshot"] == "BeforeEntrypoint"
    assert order(hearthd, "update", "Web", "--snapshot", "Running")["customContainerTemplate"]["snapshot"] == "Running"


def test_what_cannot_be_had_is_said(hearthd):
    assert "hearth image import" in refused(hearthd, *CREATE, "--registry-server", "r")
    assert "--image is missing" in refused(hearthd, "create", "web", "--container-type", "CustomContainer")
    assert "PythonLTS" in refused(hearthd, *CREATE, "--container-type", "PythonLTS")
    assert "app:3" in refused(hearthd, "create", "web", "--image", "app:3", "--target-port", "80")
    assert "runs no container" in refused(hearthd, "update", "default", "--image", "app:1")
    assert hearthd.hearth("sessionpool", "update", "nowhere", "--image", "app:1").returncode == 4
