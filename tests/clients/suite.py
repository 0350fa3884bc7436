"""Runs the real clients of Dynamic Sessions against one hearthd with HTTPS, each in an environment of its own.

The clients run on this machine. hearthd runs where its microVMs can: here, or in the lab with a forwarded port.
"""

import contextlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON_CLIENTS = ("langchain", "deepagents", "azure-dynamic-sessions-code-interpreter", "semantic-kernel", "llama-index", "autogen")
JAVASCRIPT_CLIENTS = (("azure", "@azure/arm-appcontainers"), ("langchain", "@langchain/azure-dynamic-sessions"))
POOLS_PATH = ("/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hearth/providers/Microsoft.App"
              "/sessionPools")
POOL_PATH = f"{POOLS_PATH}/default"
SHELL_POOL = "shells"
DATA_PLANE = ("https://dynamicsessions.io", "https://acasessions.io")
RESOURCE_MANAGER = ("https://management.azure.com", "https://management.core.windows.net")

os.environ["HEARTH_SERVICE_NAME"] = "clients"
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "e2e")]
import environments  # noqa: E402
from identity import IdentityEndpoint  # noqa: E402
from service import RUNTIME, SESSION_MEMORY_MIB, STATE, Host, Service  # noqa: E402

ASYNCIO = {"PYTEST_ADDOPTS": "-o asyncio_default_fixture_loop_scope=function"}  # which pytest-asyncio wants to be told
MAX_SESSIONS = 16  # autogen's own tests make one each, and end none

AUTHORITY = os.path.join(STATE, "certs", "ca.pem")


def https_service(host):
    """hearthd with a certificate by `hearth cert init`."""
    certs = os.path.dirname(AUTHORITY)
    subprocess.run([os.path.join(ROOT, "build", "hearth"), "cert", "init", "--directory", certs], check=True,
                   stdout=subprocess.DEVNULL)
    service = Service(host)
    service.start("--runtime-dir", RUNTIME, "--session-memory-mib", str(SESSION_MEMORY_MIB), "--max-sessions",
                  str(MAX_SESSIONS), "--tls-certificate", f"{certs}/server.pem", "--tls-key", f"{certs}/server-key.pem")
    return service


def make_shell_pool(client):
    response = client.request("PUT", f"sessionPools/{SHELL_POOL}", json={"properties": {
        "containerType": "Shell", "scaleConfiguration": {"maxConcurrentSessions": 4, "readySessionInstances": 0},
        "resources": {"memory": f"{SESSION_MEMORY_MIB}Mi"}}})
    response.raise_for_status()


@contextlib.contextmanager
def running():
    """Our own client, and the environment variables by which others find the service, trust it and get their tokens."""
    host = Host()
    with contextlib.ExitStack() as stack:
        stack.callback(host.stop)
        host.start()
        service = https_service(host)
        stack.callback(service.stop)
        client = service.client()
        client.http.verify = AUTHORITY
        keys = {}
        for role, resources in (("executor", DATA_PLANE), ("manager", RESOURCE_MANAGER)):
            response = client.post("keys", {"name": "clients", "role": role})
            response.raise_for_status()
            keys.update(dict.fromkeys(resources, response.json()["token"]))
            stack.callback(client.request, "DELETE", f"keys/{response.json()['id']}")
        identity = IdentityEndpoint(keys)
        stack.callback(identity.stop)
        client.wait_until_ready(1)
        make_shell_pool(client)
        inherited = {name: value for name, value in os.environ.items()
                     if not name.lower().endswith("_proxy") and not name.startswith(("HEARTH_", "AZURE_"))}
        trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), AUTHORITY)
        yield client, {**inherited, **identity.environment(), **trust, "HEARTH_CLIENT_SERVICE": service.url,
               "HEARTH_CLIENT_ENDPOINT": service.url + POOL_PATH,
               "HEARTH_CLIENT_SHELL_ENDPOINT": f"{service.url}{POOLS_PATH}/{SHELL_POOL}", "AZURE_POOL_ENDPOINT": service.url + POOL_PATH}


def end_sessions(client):
    for session in client.request("GET", "listSessions").json()["sessions"]:
        client.end(session["identifier"])


class Skipped:
    def __init__(self, name, error):
        self.reason = f"{name} could not be installed: {error}"
        self.is_published = not isinstance(error, environments.NotPublished)


def prepare():
    """(runs, skipped): for pytest, (name, Python, paths, environment) of each client; and those that there are not."""
    runs, skipped = [], []

    def installed(name, install, *arguments):
        try:
            return install(*arguments)
        except environments.NotInstalled as error:
            skipped.append(Skipped(name, error))
            return None

    for name in PYTHON_CLIENTS:
        python = installed(name, environments.python, name)
        if python is None:
            continue
        more = ASYNCIO if name == "autogen" else {}
        runs.append((f"clients-{name}", python, [os.path.join(HERE, f"test_{name.replace('-', '_')}.py")], more))
        if name == "autogen":
            source = installed("autogen's own tests", environments.source, "autogen-source", "autogen")
            if source is None:
                continue
            tests = [os.path.join(source, "tests", "code_executors", file)
                     for file in ("test_aca_dynamic_sessions.py", "test_aca_user_defined_functions.py")]
            runs.append(("clients-autogen-own", python, tests, more))
    for name, package in JAVASCRIPT_CLIENTS:
        modules = installed(package, environments.javascript, name, package)
        if modules is None:
            continue
        tests = [os.path.join(HERE, f"test_javascript_{name}.py")]
        runs.append((f"clients-javascript-{name}", "/usr/bin/python3", tests, {"HEARTH_CLIENT_JAVASCRIPT": modules}))
    return runs, skipped


def run(pytest, arguments):
    """Runs all with pytest(name, python, paths, arguments, environment). Returns (results, skipped)."""
    runs, skipped = prepare()
    results = []
    with running() as (client, environment):
        for name, python, paths, more in runs:
            results.append(pytest(name, python, paths, arguments, {**environment, **more}))
            end_sessions(client)
    return results, skipped
