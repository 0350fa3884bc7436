"""What clients are installed in: a Python environment or a node_modules for each, kept by the content of its lock."""

import hashlib
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
REQUIREMENTS = os.path.join(HERE, "requirements")
JAVASCRIPT = os.path.join(HERE, "javascript")
CACHE = os.environ.get("HEARTH_CACHE") or os.path.expanduser("~/.cache/hearth")


class NotInstalled(Exception):
    """A client could not be installed; the text says why."""


class NotPublished(NotInstalled):
    """Its registry does not have it, which nobody who runs the tests can mend."""


def run(*command, **options):
    """Its output goes with the exception, if it fails."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, **options)
    except FileNotFoundError as error:
        raise NotInstalled(f"there is no {command[0]}: scripts/setup test installs it") from error
    if result.returncode != 0:
        lines = [line for line in result.stdout.splitlines() if "error" in line.lower()]
        text = " ".join(lines[:2]) or f"{command[0]} ended with status {result.returncode}"
        raise NotInstalled(re.sub(r"https?://\S+", "the registry", text))


def made_once(name, files, make):
    """The folder of that name for the present content of the files; made, whole, if it is not there."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(file.read())
    folder = os.path.join(CACHE, "venvs", f"client-{name}-{digest.hexdigest()[:16]}")
    complete = os.path.join(folder, "complete")
    if not os.path.exists(complete):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            make(folder)
        except OSError as error:
            raise NotInstalled(str(error)) from error
        with open(complete, "w"):
            pass
    return folder


def python(name):
    """The Python with the packages of requirements/NAME.txt, and no others."""
    requirements = os.path.join(REQUIREMENTS, f"{name}.txt")

    def make(folder):
        run("/usr/bin/python3", "-m", "venv", folder)
        pip(folder, "install", "--only-binary", ":all:", "--require-hashes", "-r", requirements)

    return os.path.join(made_once(name, [requirements], make), "bin", "python")


def source(name, client):
    """The source package of requirements/NAME.txt, unpacked with the means of the client's environment."""
    requirements = os.path.join(REQUIREMENTS, f"{name}.txt")
    environment = os.path.dirname(os.path.dirname(python(client)))

    def make(folder):
        pip(environment, "download", "--no-deps", "--require-hashes", "-r", requirements, "--dest", folder)
        for archive in os.listdir(folder):
            shutil.unpack_archive(os.path.join(folder, archive), folder)
            os.remove(os.path.join(folder, archive))

    folder = made_once(name, [requirements], make)
    return next(entry.path for entry in os.scandir(folder) if entry.is_dir())


def pip(environment, command, *arguments):
    # What has no wheel is built with what is installed: a build of its own would fetch tools without hashes.
    run(os.path.join(environment, "bin", "python"), "-m", "pip", command, "--quiet", "--disable-pip-version-check",
        "--no-build-isolation", *arguments)


def javascript(name, package):
    """The folder with the node_modules of javascript/NAME/package-lock.json, for the sake of that package."""
    files = [os.path.join(JAVASCRIPT, name, file) for file in ("package.json", "package-lock.json")]
    if not os.path.exists(files[1]):
        try:
            run("npm", "view", package, "version")
        except NotInstalled as error:
            raise (NotPublished if "E404" in str(error) else NotInstalled)(str(error)) from error
        raise NotInstalled(f"{package} is not pinned yet: scripts/lock-requirements clients does that")

    def make(folder):
        for file in files:
            shutil.copy(file, folder)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)

    return made_once(f"javascript-{name}", files, make)
