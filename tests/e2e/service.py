"""The service under test: started as users start it (scripts/serve), on this machine's KVM or in the lab."""

import os
import shlex
import signal
import socket
import subprocess
import textwrap
import time

import requests

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NAME = os.environ.get("HEARTH_SERVICE_NAME") or "e2e"  # the benchmark's may run beside the tests'
STATE = os.path.join(ROOT, "build", NAME)
TOKEN_FILE = os.path.join(STATE, "token")
RUNTIME = f"/tmp/hearth-{NAME}"
LOG = os.path.join(ROOT, "build", "logs", f"{NAME}-service.log")
SESSION_MEMORY_MIB = 512
MAX_SESSIONS = 8


class Host:
    """Where hearthd runs. Commands given to it run there, so that they see its processes."""

    def __init__(self):
        accel = subprocess.run(["scripts/accel"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        self.accel = accel.stdout.strip()
        self.is_lab = self.accel == "lab"
        self.owns_lab = False
        self.environment = {**os.environ, "HEARTH_ACCEL": self.accel, "HEARTH_TOKEN_FILE": TOKEN_FILE}
        self.environment.pop("HEARTH_TOKEN", None)
        if self.is_lab:
            self.environment.setdefault("HEARTH_LAB_DIR", os.path.join(ROOT, "build", "lab-test"))
            self.environment.setdefault("HEARTH_LAB_PORT", "0")

    def start(self):
        os.makedirs(STATE, exist_ok=True)
        os.makedirs(os.path.dirname(LOG), exist_ok=True)
        if self.is_lab:
            self.owns_lab = self.lab("status", check=False).returncode != 0
            self.lab("start", check=True)

    def lab(self, command, check):
        return subprocess.run(["scripts/lab", command], cwd=ROOT, env=self.environment, check=check, timeout=180)

    def stop(self):
        if self.owns_lab:
            self.lab("stop", check=False)

    def run(self, *command, timeout=120):
        """Runs a command beside hearthd and returns its output; an exit status other than 0 is fine."""
        if self.is_lab:
            command = ("scripts/lab", "--timeout", str(timeout), "--", *command)
        result = subprocess.run(command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout + 60)
        return result.stdout

    def shell(self, script, timeout=120):
        return self.run("sh", "-c", script, timeout=timeout)


class Service:
    """One hearthd at a time; start() again after stop(), with other options if need be."""

    def __init__(self, host):
        self.host = host
        self.process = None
        self.url = None

    def start(self, *options):
        environment = dict(self.host.environment)
        if not self.host.is_lab:
            environment["HEARTH_PORT"] = str(free_port())
        runtime = ("--runtime-dir", RUNTIME)
        defaults = ("--session-memory-mib", str(SESSION_MEMORY_MIB), "--max-sessions", str(MAX_SESSIONS),
                    "--min-cooldown-seconds", "1")
        log = open(LOG, "ab")
        log_start = log.tell()
        # Ends with the tests, whatever becomes of them.
        command = ("setpriv", "--pdeathsig", "TERM", "scripts/serve", "--", *runtime, *(options or defaults))
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, start_new_session=True)
        log.close()
        deadline = time.monotonic() + 180
        while True:
            text = self.log(log_start)
            if "serving until Ctrl-C" in text:
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the service did not come up:\n{text}")
            time.sleep(0.1)
        self.url = text.split("Hearth serves at", 1)[1].split()[0]
        with open(TOKEN_FILE) as file:
            self.token = file.read().strip()

    def log(self, start=0):
        with open(LOG, "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def stop(self, wait=60):
        """Ends it as Ctrl-C does. Returns the exit status of scripts/serve."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            status = "had to be killed"
        self.process = None
        return status

    def kill(self):
        """Kills its hearthd as nothing can be caught; its microVMs live on. The log's end is kept in order."""
        self.host.run("kill", "-9", str(self.hearthd_pid()))
        self.process.wait(60)
        self.process = None

    def client(self, pool=None):
        return Client(self.url, self.token, pool)

    # ---- what runs on its host ----

    def hearthd_pid(self):
        """The process of this service's hearthd; None if there is none."""
        pattern = f"hearthd .*--token-file {shlex.quote(TOKEN_FILE)}"
        pids = self.host.run("pgrep", "-f", "-x", f"[^ ]*{pattern}.*").split()
        return int(pids[0]) if pids else None

    def vmm_pids(self, hearthd_pid):
        return [int(pid) for pid in self.host.run("pgrep", "-P", str(hearthd_pid), "-x", "hearth-vmm").split()]

    def session_vmm_pids(self, client, *identifiers):
        """The processes of the sessions' microVMs, in that order."""
        ids = [client.session(identifier)["vmId"] for identifier in identifiers]
        return [int(pid) for pid in self.host.shell(f"cd {RUNTIME}; cat {' '.join(f'{id}/pid' for id in ids)}").split()]

    def alive(self, pids):
        """Those of the processes that still run (a zombie doesn't)."""
        script = "; ".join(f"grep -qs '^State:.[^ZX]' /proc/{pid}/status && echo {pid}" for pid in pids)
        return [int(pid) for pid in self.host.shell(f"{script}; true").split()] if pids else []

    def gone(self, pids, within):
        """Waits until all of the processes have ended."""
        deadline = time.monotonic() + within
        while self.alive(pids):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


class Execution:
    """The answer to an execution, in either family's shape."""

    def __init__(self, response):
        self.response = response
        body = response.json()
        flat = body.get("properties") or {**body["result"], "status": body["status"],
                                          "result": body["result"]["executionResult"]}
        self.status, self.stdout, self.stderr, self.result = (flat[k] for k in ("status", "stdout", "stderr", "result"))
        self.ok = self.status in ("Success", "Succeeded")
        parts = response.headers.get("x-hearth-timing", "source=").split(",")  # none if the code never started
        self.timing = dict(part.split("=") for part in parts)
        self.source = self.timing["source"]

    def __repr__(self):
        return (f"<{self.status} stdout={self.stdout[-500:]!r} stderr={self.stderr[-2000:]!r} "
                f"result={str(self.result)[:500]!r}>")


class Client:
    """A client of the REST API that keeps its connection, as most do."""

    NEW, LEGACY = "2025-02-02-preview", "2024-02-02-preview"

    def __init__(self, url, token, pool=None):
        self.url = f"{url}/sessionPools/{pool}" if pool else url
        self.service_url = url
        self.pool = pool or "default"
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {token}"

    def connect(self):
        """Until it has its connection: the way into the lab takes few new ones at a time, and drops the others."""
        for attempt in range(20):
            try:
                self.health()
                return self
            except requests.ConnectionError:
                time.sleep(0.1 * attempt)
        raise TimeoutError(f"no connection to {self.service_url}")

    def request(self, method, path, version=NEW, identifier=None, params=None, **options):
        params = dict(params or {})
        if version is not None:
            params["api-version"] = version
        if identifier is not None:
            params["identifier"] = identifier
        options.setdefault("timeout", 300)
        return self.http.request(method, f"{self.url}/{path}", params=params, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, json=body, **options)

    def execute(self, identifier, code, language=None, timeout=None, **options):
        response = self.post("executions", flat_body(code, language, timeout), identifier=identifier, **options)
        assert response.status_code == 200, f"{response.status_code}: {response.text[:2000]}"
        return Execution(response)

    def end(self, identifier):
        return self.request("DELETE", "session", identifier=identifier)

    # ---- pools and what is Hearth's own ----

    def session(self, identifier):
        """The session as the API shows it; None if there is none."""
        response = self.request("GET", "session", identifier=identifier)
        assert response.status_code in (200, 404), response.text
        return response.json() if response.status_code == 200 else None

    def order(self, name, identifier, **params):
        """Fork, suspend or resume."""
        response = self.post(f"session/{name}", {}, identifier=identifier, params=params)
        assert response.status_code in (200, 201), f"{response.status_code}: {response.text}"
        return response.json()

    def all_health(self):
        """What /healthz says of each pool."""
        return self.http.get(f"{self.service_url}/healthz", timeout=60).json()["pools"]

    def health(self):
        """What /healthz says of this client's pool."""
        return next(pool for pool in self.all_health() if pool["name"] == self.pool)

    def wait_until_ready(self, count, timeout=180):
        """Until the pool's stock has so many microVMs."""
        deadline = time.monotonic() + timeout
        while self.health()["ready"] < count:
            assert time.monotonic() < deadline, self.health()
            time.sleep(0.1)


def flat_body(code, language=None, timeout=None):
    if code.startswith("\n"):  # a block that is indented as the test around it
        code = textwrap.dedent(code).strip("\n")
    body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": code}
    if language is not None:
        body["language"] = language
    if timeout is not None:
        body["timeoutInSeconds"] = timeout
    return body


class Session:
    """A session of the service, made by its first execution."""

    def __init__(self, client, identifier):
        self.client = client
        self.identifier = identifier

    def python(self, code, timeout=None, **options):
        return self.client.execute(self.identifier, code, "python", timeout, **options)

    def node(self, code, timeout=None, **options):
        return self.client.execute(self.identifier, code, "node", timeout, **options)

    def end(self):
        return self.client.end(self.identifier)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
