# SPDX-License-Identifier: Apache-2.0
"""What the lab's machine boots: Debian's stock kernel, and an initramfs with the modules and our init."""

import contextlib
import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
KERNEL_PACKAGE = "linux-image-amd64"
INIT_SOURCES = ("init.c", "session.c", "init.h", "protocol.h")
# Loaded in this order, each after what it depends on.
MODULES = ("virtio_pci", "virtio_net", "virtio-rng", "virtio_blk", "9pnet_virtio", "9p", "overlay", "kvm-amd",
           "tun", "veth", "vhost_vsock", "loop", "crc32c_generic", "erofs")


class BootError(Exception):
    pass


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def cache_dir():
    root = os.environ.get("HEARTH_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "hearth")
    return os.path.abspath(root)


def run(arguments, **options):
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, check=False, **options)
    if result.returncode != 0:
        raise BootError(f"`{' '.join(arguments)}` failed: {(result.stderr or result.stdout).strip()[-600:]}")
    return result.stdout


def uncompressed_kernel(bzimage):
    """The ELF inside a bzImage (Linux/x86 boot protocol 2.08, payload_offset and payload_length)."""
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = bzimage[start:start + length]
    if payload.startswith(b"\xfd7zXZ"):
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        kernel = subprocess.run(["zstd", "-dc"], input=payload, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                check=False).stdout
    else:
        raise BootError(f"the kernel is compressed in an unknown way ({payload[:6].hex()})")
    if not kernel.startswith(b"\x7fELF"):
        raise BootError("the kernel's payload is not an ELF file")
    return kernel


def module_closure(tree):
    """Paths of the modules, dependencies first. modules.dep is made at installation, so each module is asked."""
    paths = {}
    for path in glob.glob(os.path.join(tree, "**", "*.ko*"), recursive=True):
        name = os.path.basename(path).split(".ko")[0].replace("-", "_")
        paths[name] = path
    ordered = []

    def add(name):
        name = name.replace("-", "_")
        path = paths.get(name)
        if path is None or path in ordered:
            return
        for needed in re.findall(rb"\0(?:depends|softdep)=([^\0]*)", b"\0" + module_bytes(path)):
            for word in needed.decode().replace("pre:", " ").replace(",", " ").split():
                if word == "post:":
                    break
                add(word)
        ordered.append(path)

    for name in MODULES:
        if name.replace("-", "_") not in paths:
            raise BootError(f"the kernel package has no module {name}")
        add(name)
    return ordered


def module_bytes(path):
    with open(path, "rb") as file:
        data = file.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def fetch_kernel(target):
    """Make target/{vmlinux,modules/NN-name.ko} from the kernel package that apt offers."""
    depends = run(["apt-cache", "depends", "--important", KERNEL_PACKAGE])
    names = re.findall(r"Depends: (linux-image-\S+)", depends)
    if not names:
        raise BootError(f"apt offers no {KERNEL_PACKAGE}; run scripts/setup lab")
    # The candidate is the first: later ones are what other suites (backports) offer.
    policy = run(["apt-cache", "show", "--no-all-versions", KERNEL_PACKAGE])
    match = re.search(r"^Depends: (linux-image-[^\s,]+)", policy, re.MULTILINE)
    package = match.group(1) if match else names[0]
    say(f"fetching Debian's kernel {package} (once)")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as work:
        os.chmod(work, 0o755)
        run(["apt-get", "download", package], cwd=work)
        run(["dpkg-deb", "-x", glob.glob(os.path.join(work, "*.deb"))[0], os.path.join(work, "tree")])
        made = os.path.join(work, "made")
        os.makedirs(os.path.join(made, "modules"))
        with open(glob.glob(os.path.join(work, "tree", "boot", "vmlinuz-*"))[0], "rb") as file:
            kernel = uncompressed_kernel(file.read())
        with open(os.path.join(made, "vmlinux"), "wb") as file:
            file.write(kernel)
        for number, path in enumerate(module_closure(os.path.join(work, "tree", "lib", "modules"))):
            name = f"{number:02d}-{os.path.basename(path).split('.ko')[0]}.ko"
            with open(os.path.join(made, "modules", name), "wb") as file:
                file.write(module_bytes(path))
        with open(os.path.join(made, "package"), "w", encoding="ascii") as file:
            file.write(package + "\n")
        os.rename(made, target)


def build_init(target):
    """The init is static, so that it runs before any file system is mounted."""
    sources = [os.path.join(HERE, name) for name in INIT_SOURCES if name.endswith(".c")]
    temporary = f"{target}.{os.getpid()}"
    run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Os", "-s", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
         "-Werror", "-o", temporary, *sources])
    os.rename(temporary, target)


def content_hash(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def cpio_entry(name, mode, data=b"", device=(0, 0)):
    """One member of a "newc" archive, the format that the kernel unpacks."""
    name_bytes = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(name_bytes), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name_bytes
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def build_initramfs(kernel, init, target):
    parts = [cpio_entry("dev", 0o040755), cpio_entry("dev/console", 0o020600, device=(5, 1)),
             cpio_entry("modules", 0o040755)]
    for path in sorted(glob.glob(os.path.join(kernel, "modules", "*.ko"))):
        with open(path, "rb") as file:
            parts.append(cpio_entry("modules/" + os.path.basename(path), 0o100644, file.read()))
    with open(init, "rb") as file:
        parts.append(cpio_entry("init", 0o100755, file.read()))
    temporary = f"{target}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(b"".join(parts))
    os.rename(temporary, target)


def config_archive(text):
    """The part of the initramfs that differs from lab to lab; it follows the rest."""
    return cpio_entry("lab.conf", 0o100600, text.encode()) + cpio_entry("TRAILER!!!", 0)


@contextlib.contextmanager
def locked(path):
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare():
    """Paths of the kernel and of the common initramfs, made when they are not in the cache yet."""
    home = os.path.join(cache_dir(), "lab")
    os.makedirs(home, exist_ok=True)
    with locked(os.path.join(home, "lock")):
        recipe = hashlib.sha256(" ".join(MODULES).encode()).hexdigest()[:8]
        kernel = os.path.join(home, f"kernel-{recipe}")
        if not os.path.exists(kernel):
            for command in ("apt-get", "dpkg-deb"):
                if not shutil.which(command):
                    raise BootError(f"{command} is missing: the lab's kernel comes as a Debian package")
            fetch_kernel(kernel)
        identity = content_hash(*(os.path.join(HERE, name) for name in INIT_SOURCES))
        init = os.path.join(home, f"init-{identity}")
        initramfs = os.path.join(home, f"initramfs-{identity}-{recipe}")
        if not os.path.exists(initramfs):
            if not shutil.which("cc"):
                raise BootError("no C compiler; run scripts/setup lab")
            build_init(init)
            build_initramfs(kernel, init, initramfs)
            os.unlink(init)
    return os.path.join(kernel, "vmlinux"), initramfs
