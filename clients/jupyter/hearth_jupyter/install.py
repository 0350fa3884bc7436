"""hearth-jupyter: makes kernels of Hearth known to Jupyter."""

import argparse
import json
import os
import sys
import tempfile

from jupyter_client.kernelspec import KernelSpecManager

LANGUAGES = {"python": ("Python 3 (Hearth)", "python"), "node": ("Node.js (Hearth)", "javascript")}


def kernelspec(language, options):
    display_name, jupyter_language = LANGUAGES[language]
    config = {"language": language}
    for name in "url", "pool", "token_file", "ca_certificate":
        value = getattr(options, name)
        if value:
            config[name] = os.path.abspath(value) if name in ("token_file", "ca_certificate") else value
    return {
        "argv": [sys.executable, "-m", "hearth_jupyter.kernel", "-f", "{connection_file}"],
        "display_name": options.display_name or display_name,
        "language": jupyter_language,
        "interrupt_mode": "signal",
        "metadata": {"kernel_provisioner": {"provisioner_name": "hearth-provisioner", "config": config}},
    }


def install(options):
    prefix = sys.prefix if options.sys_prefix else options.prefix
    languages = list(LANGUAGES) if options.language == "all" else [options.language]
    if options.name and len(languages) > 1:
        sys.exit("hearth-jupyter: --name is of one kernel: add --language python or --language node")
    for language in languages:
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "kernel.json"), "w") as file:
                json.dump(kernelspec(language, options), file, indent=1)
            name = options.name or f"hearth-{language}"
            path = KernelSpecManager().install_kernel_spec(folder, name, user=not prefix, prefix=prefix)
        print(f"kernel {name}: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="hearth-jupyter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("install", help="write kernelspecs", description="Writes a kernelspec for each language. "
                                  "What is not named here is taken from the environment when a kernel starts: HEARTH_URL, "
                                  "HEARTH_POOL, HEARTH_TOKEN or HEARTH_TOKEN_FILE, HEARTH_CA_CERTIFICATE.")
    command.add_argument("--language", choices=[*LANGUAGES, "all"], default="all", help="default: all")
    command.add_argument("--url", help="the service")
    command.add_argument("--pool", help="the session pool")
    command.add_argument("--token-file", help="the file with the token (a token itself is never written down)")
    command.add_argument("--ca-certificate", help="the certificate authority to trust for https")
    command.add_argument("--name", help="of the kernel; default: hearth-python, hearth-node")
    command.add_argument("--display-name", help="as users see it")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (default)")
    where.add_argument("--sys-prefix", action="store_true", help="in this Python environment")
    where.add_argument("--prefix", help="below this folder")
    install(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
