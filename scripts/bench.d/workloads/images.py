"""Container images: how long their import takes, and how much of the disk."""

import json
import os
import shutil
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
IMAGES = os.path.join(ROOT, "build", "example-images")
NAMES = "debian", "busybox", "service"  # in this order: the service's first layer is debian's


def image_import(settings, say):
    if not os.path.isdir(IMAGES):
        say(skipped="there are no images: scripts/example-images makes them")
        return
    store = tempfile.mkdtemp(dir="/var/tmp")
    try:
        for name in NAMES:
            archive = os.path.join(IMAGES, f"{name}.tar")
            before = disk_mib(store)
            began = time.monotonic()
            output = subprocess.run([os.path.join(ROOT, "build", "hearth"), "image", "import", archive, "--image-dir", store],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
            say(number=f"image_{name}_import_seconds", value=round(time.monotonic() - began, 2))
            say(number=f"image_{name}_archive_mib", value=round(os.path.getsize(archive) / (1 << 20), 1))
            say(number=f"image_{name}_mib", value=round(json.loads(output)["sizeInBytes"] / (1 << 20), 1))
            say(number=f"image_{name}_added_disk_mib", value=round(disk_mib(store) - before, 1))
    finally:
        shutil.rmtree(store)


def disk_mib(folder):
    return sum(os.stat(os.path.join(where, name)).st_blocks * 512
               for where, _, names in os.walk(folder) for name in names) / (1 << 20)
