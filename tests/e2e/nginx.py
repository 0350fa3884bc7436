"""nginx with TLS in front of the service, by deploy/nginx/hearth.conf: only its addresses and file names are changed."""

import contextlib
import os
import subprocess
import time
from urllib.parse import urlsplit

import requests

from service import ROOT, free_port


def configure(folder, upstream, port):
    with open(os.path.join(ROOT, "deploy", "nginx", "hearth.conf")) as file:
        site = file.read()
    for old, new in (("server 127.0.0.1:8080;", f"server {upstream};"), ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
                     ("/etc/hearth/tls/", f"{folder}/")):
        assert old in site
        site = site.replace(old, new)
    paths = "".join(f"{name}_temp_path {folder}/{name};\n"
                    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(folder / "nginx.conf", "w") as file:
        file.write(f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
                   f"events {{}}\nhttp {{\naccess_log off;\n{paths}\n{site}\n}}\n")


@contextlib.contextmanager
def nginx_before(url, folder):
    """The URL of an nginx before the one given, and the file of the authority that it is believed by."""
    port = free_port()
    folder.chmod(0o755)
    subprocess.run([os.path.join(ROOT, "build", "hearth"), "cert", "init", "--directory", folder], check=True,
                   stdout=subprocess.DEVNULL)
    configure(folder, urlsplit(url).netloc, port)
    program = subprocess.run([os.path.join(ROOT, "scripts", "nginx")], stdout=subprocess.PIPE, text=True, check=True)
    command = [program.stdout.strip(), "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    own = f"https://localhost:{port}"
    try:
        for _ in range(100):
            try:
                requests.get(f"{own}/healthz", verify=folder / "ca.pem", timeout=5)
                break
            except requests.ConnectionError:
                assert nginx.poll() is None, (folder / "error.log").read_text()
                time.sleep(0.1)
        yield own, str(folder / "ca.pem")
    finally:
        nginx.terminate()
        nginx.wait(20)
