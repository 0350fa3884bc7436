"""Container images: how long their import takes, and how much of the disk."""

import json
import os
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
HEARTH = os.path.join(ROOT, "build", "hearth")
IMAGES = os.path.join(ROOT, "build", "example-images")
NAMES = "debian", "busybox", "service"  # in this order: the service's first layer is debian's


def image_import(settings, say):
    """Into the folder of the services that come later, whose sessions are of some of them."""
    store = settings["image_dir"]
    missing = [name for name in NAMES if not os.path.exists(archive(name))]
    if missing:
        say(skipped=f"there are no images: scripts/example-images {' '.join(missing)} makes them")
        return
    os.makedirs(store, exist_ok=True)
    for name in NAMES:
        before = disk_mib(store)
        began = time.monotonic()
        output = subprocess.run([HEARTH, "image", "import", archive(name), name, "--image-dir", store],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        say(number=f"image_{name}_import_seconds", value=round(time.monotonic() - began, 2))
        say(number=f"image_{name}_archive_mib", value=round(os.path.getsize(archive(name)) / (1 << 20), 1))
        say(number=f"image_{name}_mib", value=round(json.loads(output)["sizeInBytes"] / (1 << 20), 1))
        say(number=f"image_{name}_added_disk_mib", value=round(disk_mib(store) - before, 1))


def archive(name):
    return os.path.join(IMAGES, f"{name}.tar")


def disk_mib(folder):
    return sum(os.stat(os.path.join(where, name)).st_blocks * 512
               for where, _, names in os.walk(folder) for name in names) / (1 << 20)
