"""The folder with images: what is kept, what is shared, what is removed, and who may work on it at once."""

import fcntl
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from archives import CHARACTER, directory, entry, file, layer
from conftest import HEARTH


def test_what_is_known_of_an_image(store, layout):
    image = store.image(layout(layer(file("a")), config={
        "Entrypoint": ["/app", "--serve"], "Cmd": ["-v"], "Env": ["PATH=/bin", "A="], "User": "1000:1000",
        "WorkingDir": "/srv", "StopSignal": "SIGINT", "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Labels": {"org.example": "ä"}, "Volumes": {"/data": {}}}), "team/app:1.2")
    assert image["name"] == "team/app:1.2"
    assert image["config"] == {
        "entrypoint": ["/app", "--serve"], "cmd": ["-v"], "env": ["PATH=/bin", "A="], "user": "1000:1000",
        "workingDirectory": "/srv", "stopSignal": "SIGINT", "exposedPorts": ["8080/tcp", "53/udp"],
        "labels": {"org.example": "ä"}}
    assert (image["os"], image["architecture"], image["createdAt"]) == ("linux", "amd64", "2024-01-02T03:04:05Z")
    assert re.fullmatch("sha256:[0-9a-f]{64}", image["digest"]) and re.fullmatch("sha256:[0-9a-f]{64}", image["imageId"])
    assert image["sizeInBytes"] == sum(part["sizeInBytes"] for part in image["stack"]) > 0
    assert json.loads(store.run("inspect", "team/app:1.2").stdout) == image
    assert store.list() == [image]


def test_an_image_that_says_little(store, layout):
    image = store.image(layout(layer(file("a")), config={"Env": None, "User": "", "Cmd": None}))
    assert image["config"] == {}


def test_names(store, layout):
    folder = layout(layer(file("a")), name="web.v2")
    assert store.image(folder)["name"] == "web:latest"
    for given, name in (("app", "app:latest"), ("host:5000/app", "host:5000/app:latest"), ("a/b/c:1", "a/b/c:1"),
                        ("app@sha256:" + "0" * 64, "app@sha256:" + "0" * 64)):
        assert store.image(folder, given)["name"] == name
        assert json.loads(store.run("inspect", given).stdout)["name"] == name
    assert len(store.list()) == 5
    assert "there is no image" in store.run("inspect", "app:2").stderr
    assert store.run("inspect", "app:2").returncode == 4
    assert store.run("rm", "host:5000/app").returncode == 0
    assert len(store.list()) == 4


def test_table(store, layout):
    store.image(layout(layer(file("a")), layer(file("b"))), "app:1")
    lines = store.run("ls", "-o", "table").stdout.splitlines()
    assert lines[0].split() == ["NAME", "IMAGE", "ID", "SIZE", "FILES", "IMPORTED"]
    assert re.fullmatch(r"app:1 +[0-9a-f]{12} +0\.0 MiB +2 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[1])
    assert store.run("inspect", "app:1", "-o", "table").stdout.splitlines() == lines


def test_layers_are_shared_and_pruned(store, layout):
    base, more = layer(file("base", os.urandom(1 << 20))), layer(file("more"))
    first = store.image(layout(base, layer(file("a"))), "one")
    before = os.stat(store.layer_files(first)[0])
    second = store.run("import", layout(base, more, layer(file("b"))), "two")
    assert "layer 1 of 3: is there already" in second.stderr
    assert os.stat(store.layer_files(first)[0]).st_ino == before.st_ino
    assert len(os.listdir(store.path("layers"))) == 4
    assert store.run("prune").stdout == "Removed 0 layers, 0 MiB.\n"
    store.run("rm", "one")
    assert store.run("prune").stdout == "Removed 1 layers, 0 MiB.\n"
    assert os.path.exists(store.layer_files(first)[0])
    store.run("rm", "two")
    assert store.run("prune").stdout == "Removed 3 layers, 1 MiB.\n"
    assert store.files() == []


def test_layers_that_somebody_uses_are_not_pruned(store, layout):
    image = store.image(layout(layer(file("a")), layer(file("b"))), "app")
    used, other = store.layer_files(image)
    store.run("rm", "app")
    with open(used, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert store.run("prune").stdout == ("Removed 1 layers, 0 MiB.\n"
                                             "1 more stay: hearthd uses them for a pool.\n")
        assert os.path.exists(used) and not os.path.exists(other)
    assert store.run("prune").stdout == "Removed 1 layers, 0 MiB.\n"


def test_large_images_share_their_first_layers_and_the_same_rest(store, layout):
    layers = [layer(file(f"f{number}")) for number in range(9)]
    first, second = store.image(layout(*layers), "one"), store.image(layout(*layers[:8]), "two")
    names = [[part["file"] for part in image["stack"]] for image in (first, second)]
    assert names[0][:4] == names[1][:4] and names[0][4] != names[1][4]
    third = store.image(layout(layer(file("other")), *layers[1:]), "three")
    assert third["stack"][4]["file"] == first["stack"][4]["file"]


def test_importing_again_replaces(store, layout):
    store.image(layout(layer(file("a"))), "app")
    image = store.image(layout(layer(file("b"))), "app")
    assert store.list() == [image]
    assert store.run("prune").stdout.startswith("Removed 1 layers")


def test_layers_cannot_be_changed_by_accident(store, layout):
    path, = store.layer_files(store.image(layout(layer(file("a")))))
    assert os.stat(path).st_mode & 0o777 == 0o444


def test_a_damaged_record_stops_pruning(store, layout):
    image = store.image(layout(layer(file("a"))), "app")
    with open(store.path("images", "app%3Alatest.json"), "w") as record:
        record.write("{")
    for command in (["ls"], ["prune"], ["inspect", "app"]):
        result = store.run(*command)
        assert result.returncode == 2 and "is damaged" in result.stderr
    assert os.path.exists(store.layer_files(image)[0])


def test_no_root_is_needed(store, layout):
    """The same file comes of an import by somebody without any rights, owners and devices included."""
    with tempfile.TemporaryDirectory(prefix="hearth-images-") as folder:
        os.chmod(folder, 0o777)
        shutil.copy(HEARTH, f"{folder}/hearth")
        data = layer(directory("home", uid=1000, gid=1000), file("home/setuid", b"x", mode=0o4755, uid=7),
                     entry("dev/null", CHARACTER, devmajor=1, devminor=3),
                     file("bin/ping", pax={"SCHILY.xattr.security.capability": "\x01\0\0\x02" + "\0" * 16}))
        shutil.copytree(layout(data), f"{folder}/layout")
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        result = subprocess.run([*become, "env", f"HOME={folder}", f"{folder}/hearth", "image", "import", f"{folder}/layout",
                                 "--image-dir", f"{folder}/store"], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        name, = os.listdir(f"{folder}/store/layers")
        with open(f"{folder}/store/layers/{name}", "rb") as theirs, \
                open(store.layer_files(store.image(f"{folder}/layout"))[0], "rb") as own:
            assert theirs.read() == own.read()


# ---- interrupted, and at once ----------------------------------------------------------------------------------------

def slow_layout(layout, **options):
    """One that takes a second to import: little to read, much to write."""
    return layout(layer(file("first")), layer(*(file(f"zeros{number}", bytes(100 << 20)) for number in range(4))),
                  compress=lambda data: gzip.compress(data, 1), **options)


def wait_until_writing(store, process):
    while process.poll() is None:
        for folder, _, names in os.walk(store.path("work")):
            if "layer.erofs" in names and os.path.getsize(os.path.join(folder, "layer.erofs")) > 50 << 20:
                return
        time.sleep(0.005)
    raise AssertionError("it ended before: " + process.stderr.read())


def test_a_killed_import_leaves_only_what_the_next_clears_away(store, layout):
    folder = slow_layout(layout)
    for sent in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        process = store.start("import", folder, "slow")
        wait_until_writing(store, process)
        process.send_signal(sent)
        process.communicate()
        assert process.returncode == -sent
        assert len(os.listdir(store.path("work"))) == 1
        assert store.list() == [] and len(os.listdir(store.path("layers"))) == 1
    store.image(layout(layer(file("a"))), "other")
    assert os.listdir(store.path("work")) == []
    process = store.start("import", folder, "slow")
    wait_until_writing(store, process)
    process.kill()
    process.communicate()
    assert store.run("prune").returncode == 0
    assert os.listdir(store.path("work")) == []
    assert [image["name"] for image in store.list()] == ["other:latest"]


def test_skopeo_does_not_outlive_an_import(store, layout, tmp_path):
    """A skopeo that takes long, in the place of the real one."""
    (tmp_path / "skopeo").write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
    (tmp_path / "skopeo").chmod(0o755)
    store.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    process = store.start("import", layout(layer(file("a"))))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    pid, end = (tmp_path / "pid").read_text().strip(), time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().split()[2] != "Z":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_disk_that_is_full(store, layout):
    """A limit of the process in the disk's place: skopeo's copy fits below it, the image does not."""
    folder = slow_layout(layout)
    result = subprocess.run(["sh", "-c", f"trap '' XFSZ; ulimit -f 100000; exec {HEARTH} image import {folder} app"],
                            capture_output=True, text=True, env=store.environment)
    assert result.returncode == 3 and "File too large" in result.stderr, result.stderr
    assert store.list() == [] and os.listdir(store.path("work")) == []


def test_many_at_once(store, layout):
    base = layer(*(file(f"base{number}", os.urandom(10000)) for number in range(300)))
    folders = [layout(base, layer(file("own", str(number % 2).encode()))) for number in range(6)]
    processes = [store.start("import", folder, f"app:{number}") for number, folder in enumerate(folders)]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert len(store.list()) == 6 and len(os.listdir(store.path("layers"))) == 3
    assert os.listdir(store.path("work")) == []
    for path in store.layer_files(store.list()[0]):
        assert subprocess.run(["fsck.erofs", path]).returncode == 0


def test_pruning_waits_for_an_import(store, layout):
    process = store.start("import", slow_layout(layout), "slow")
    wait_until_writing(store, process)
    pruned = store.start("prune")
    said, _ = pruned.communicate(timeout=120)
    assert process.poll() is not None or process.wait(timeout=1) == 0
    process.communicate()
    assert said == "Removed 0 layers, 0 MiB.\n"
    assert len(os.listdir(store.path("layers"))) == 2 and len(store.list()) == 1


# ---- which folder ----------------------------------------------------------------------------------------------------

def test_which_folder(store, layout, tmp_path):
    home, folder = tmp_path / "home", layout(layer(directory("d")))
    home.mkdir()
    store.environment["HEARTH_HOME"] = str(home)
    store.run("import", folder, "by-environment")
    del store.environment["HEARTH_IMAGE_DIR"]
    store.run("import", folder, "by-default")
    (home / "hearth.toml").write_text(f'max-sessions = 5\nimage-dir = "{tmp_path}/configured"  # here\n')
    store.run("import", folder, "by-configuration")
    store.run("import", folder, "by-flag", "--image-dir", tmp_path / "flag")
    for where, name in ((store.folder, "by-environment"), (home / "container-images", "by-default"),
                        (tmp_path / "configured", "by-configuration"), (tmp_path / "flag", "by-flag")):
        assert os.listdir(f"{where}/images") == [f"{name}%3Alatest.json"]
    (home / "hearth.toml").write_text("image-dir = no\n")
    result = store.run("ls")
    assert result.returncode == 2 and "hearth.toml" in result.stderr


def test_a_folder_that_cannot_be_used(store, tmp_path):
    (tmp_path / "store").write_text("")
    result = store.run("ls")
    assert result.returncode == 3 and "cannot use the folder for images" in result.stderr
