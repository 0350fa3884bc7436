"""Where images come from: layouts, archives, a registry."""

import contextlib
import gzip
import os
import re
import socket
import subprocess
import time

import pytest

from archives import Layout, docker_save, file, layer
from conftest import ROOT

LAYERS = layer(file("a", b"first")), layer(file("b", b"second"))


def stack_of(image):
    return [part["file"] for part in image["stack"]]


def test_each_source_makes_the_same_image(store, layout, tmp_path):
    made = Layout(tmp_path / "layout", *LAYERS)
    compressed = layout(*LAYERS, compress=gzip.compress)
    sources = [made.folder, "oci:" + made.folder, compressed, made.archive(tmp_path / "oci.tar"),
               "oci-archive:" + made.archive(tmp_path / "oci2.tar"), docker_save(tmp_path / "saved.tar", *LAYERS),
               docker_save(tmp_path / "saved.tar.gz", *LAYERS, mode="w:gz"),
               "docker-archive:" + docker_save(tmp_path / "named.tar", *LAYERS)]
    subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "oci:" + made.folder, f"dir:{tmp_path}/dir"], check=True)
    sources.append(f"dir:{tmp_path}/dir")
    images = [store.image(source, f"image:{number}") for number, source in enumerate(sources)]
    assert len({tuple(stack_of(image)) for image in images}) == 1
    assert [image["source"] for image in images] == sources


def test_names_that_sources_say(store, tmp_path):
    made = Layout(tmp_path / "my-app", *LAYERS)
    assert store.image(made.folder)["name"] == "my-app:latest"
    assert store.image(made.archive(tmp_path / "other.tar.gz"))["name"] == "other:latest"
    assert store.image(docker_save(tmp_path / "x.tar", *LAYERS))["name"] == "team/app:1.2"
    assert store.image(docker_save(tmp_path / "y.tar", *LAYERS, tags=()))["name"] == "y:latest"
    os.rename(tmp_path / "y.tar", tmp_path / ".tar")
    result = store.run("import", tmp_path / ".tar")
    assert result.returncode == 2 and "nothing says what the image is called" in result.stderr


def test_an_archive_of_newer_docker_is_both(store, tmp_path):
    """An OCI layout that has Docker's manifest.json, too."""
    made = Layout(tmp_path / "layout", *LAYERS)
    with open(f"{made.folder}/manifest.json", "w") as manifest:
        import json
        index = json.load(open(f"{made.folder}/index.json"))
        path = index["manifests"][0]["digest"].replace(":", "/")
        inner = json.load(open(f"{made.folder}/blobs/{path}"))
        json.dump([{"Config": "blobs/" + inner["config"]["digest"].replace(":", "/"), "RepoTags": ["both:1"],
                    "Layers": ["blobs/" + blob["digest"].replace(":", "/") for blob in inner["layers"]]}], manifest)
    packed = tmp_path / "both.tar"
    subprocess.run(["tar", "-C", made.folder, "-cf", packed, "blobs", "index.json", "manifest.json", "oci-layout"], check=True)
    image = store.image(packed)
    assert image["name"] == "both:1" and len(image["stack"]) == 2


def test_several_images_in_one_archive(store, tmp_path):
    import json
    import tarfile
    one, two = (docker_save(tmp_path / f"{name}.tar", layer(file(name)), tags=(f"{name}:1",)) for name in ("one", "two"))
    manifests = []
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for path in (one, two):
            with tarfile.open(path) as source:
                for member in source:
                    if member.name == "manifest.json":
                        manifests += json.load(source.extractfile(member))
                    else:
                        archive.addfile(member, source.extractfile(member))
        (tmp_path / "manifest.json").write_text(json.dumps(manifests))
        archive.add(tmp_path / "manifest.json", "manifest.json")
    result = store.run("import", tmp_path / "all.tar")
    assert result.returncode == 3 and "skopeo cannot get the image" in result.stderr
    assert store.image(f"docker-archive:{tmp_path}/all.tar:two:1", "two")["name"] == "two:latest"


def test_without_skopeo(store, layout):
    store.environment["PATH"] = "/nowhere"
    result = store.run("import", layout(*LAYERS))
    assert result.returncode == 3 and "install it" in result.stderr


# ---- a registry ------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def serving(folder):
    program = subprocess.run([os.path.join(ROOT, "scripts", "packaged-program"), "docker-registry", "--version"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    with open(f"{folder}/registry.yml", "w") as configuration:
        configuration.write(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
                            f"http: {{addr: '{address}'}}\nlog: {{level: error}}\n")
    with open(f"{folder}/registry.log", "wb") as log:
        process = subprocess.Popen([program, "serve", f"{folder}/registry.yml"], stdout=log, stderr=log)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(address.split(":"), timeout=1):
                break
            assert process.poll() is None, open(f"{folder}/registry.log").read()
            time.sleep(0.02)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "registry").mkdir()
    with serving(tmp_path / "registry") as address:
        yield address


def test_a_name_that_is_neither_a_file_nor_in_a_registry(store):
    message = "skopeo cannot get the image: "
    result = store.run("import", "127.0.0.1:1/app.tar")
    assert result.returncode == 3 and f"there is no file of that name, and: {message}" in result.stderr
    result = store.run("import", "docker://127.0.0.1:1/app.tar")
    assert result.returncode == 3 and f"hearth: {message}" in result.stderr


def test_a_registry(store, layout, registry):
    subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", "oci:" + layout(*LAYERS),
                    f"docker://{registry}/team/app:1"], check=True)
    image = store.image(f"{registry}/team/app:1", "--insecure-registry")
    assert image["name"] == f"{registry}/team/app:1"
    assert stack_of(image) == stack_of(store.image(layout(*LAYERS), "same"))
    assert store.image(f"docker://{registry}/team/app:1", "mine", "--insecure-registry")["name"] == "mine:latest"
    by_digest = store.image(f"{registry}/team/app@{image['digest']}", "--insecure-registry")
    assert stack_of(by_digest) == stack_of(image)
    result = store.run("import", f"{registry}/team/app:2", "--insecure-registry")
    assert result.returncode == 3 and re.search("skopeo cannot get the image: .*manifest unknown", result.stderr)
    result = store.run("import", f"{registry}/team/app:1")
    assert result.returncode == 3 and "HTTPS" in result.stderr


def test_the_right_processor_is_taken_of_several(store, tmp_path, registry):
    """A list of images in a registry, as most have it today."""
    import hashlib
    import json
    import urllib.request
    from archives import OCI, configuration
    manifests = []
    for architecture in ("arm64", "amd64"):
        data = layer(file(architecture))
        made = Layout(tmp_path / architecture, data, image=configuration([data], architecture=architecture))
        subprocess.run(["skopeo", f"--override-arch={architecture}", "copy", "--quiet", "--insecure-policy",
                        "--dest-tls-verify=false", "oci:" + made.folder, f"docker://{registry}/multi:{architecture}"], check=True)
        with urllib.request.urlopen(urllib.request.Request(
                f"http://{registry}/v2/multi/manifests/{architecture}", headers={"Accept": f"{OCI}.manifest.v1+json"})) as answer:
            text = answer.read()
        manifests.append({"mediaType": f"{OCI}.manifest.v1+json", "size": len(text), "platform": {
            "os": "linux", "architecture": architecture}, "digest": "sha256:" + hashlib.sha256(text).hexdigest()})
    body = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}).encode()
    urllib.request.urlopen(urllib.request.Request(f"http://{registry}/v2/multi/manifests/all", data=body, method="PUT",
                                                  headers={"Content-Type": f"{OCI}.index.v1+json"})).close()
    assert store.image(f"{registry}/multi:all", "--insecure-registry")["architecture"] == "amd64"
