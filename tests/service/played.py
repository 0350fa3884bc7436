"""A hearthd whose microVMs are played by lying_vmm.py, and what clients hear of it."""

import os
import re
import signal
import subprocess
import time

import requests
from archives import docker_save, file, layer

HERE = os.path.dirname(os.path.realpath(__file__))
GRACE_S = 2
NEW = "2025-02-02-preview"
OPTIONS = ("--vmm", os.path.join(HERE, "lying_vmm.py"), "--unsafe-no-jail", "true", "--boot-always", "true",
           "--boot-timeout-seconds", "3", "--answer-grace-seconds", str(GRACE_S))


def import_image(folder, name, layers=(layer(file("server", b"#!/bin/sh\n")),)):
    """Imports an image of small layers into the folder's `images`."""
    archive = docker_save(os.path.join(folder, "image.tar"), *layers, tags=(name,), config={"Entrypoint": ["/server"]})
    hearth_image(folder, "import", archive, name)


def hearth_image(folder, command, *arguments):
    subprocess.run([os.path.join(HERE, "../../build/hearth"), "image", command, "--image-dir", os.path.join(folder, "images"),
                    *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def wait_until(condition, what, timeout=10):
    """`what` is the matter if it does not come to that."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


class Answer:
    def __init__(self, response, took):
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        body = response.json()
        self.status, self.took = body["status"], took
        self.stdout, self.stderr = body["result"]["stdout"], body["result"]["stderr"]
        self.result = body["result"]["executionResult"]
        self.run_ms = body["result"]["executionTimeInMilliseconds"]


class Service:
    def __init__(self, hearthd, folder):
        self.hearthd, self.folder = hearthd, folder

    def request(self, method, path, identifier=None, **options):
        return requests.request(method, f"{self.hearthd.url}/{path}", params={"api-version": NEW, "identifier": identifier},
                                headers={"Authorization": f"Bearer {self.hearthd.token}"}, timeout=30, **options)

    def order(self, identifier, lie, timeout=1):
        return self.request("POST", "executions", identifier, json={
            "codeInputType": "Inline", "executionType": "Synchronous", "code": lie, "timeoutInSeconds": timeout})

    def execute(self, identifier, lie, timeout=1):
        began = time.monotonic()
        response = self.order(identifier, lie, timeout)
        return Answer(response, time.monotonic() - began)

    def vm(self, identifier):
        response = self.request("GET", "session", identifier)
        return response.json()["vmId"] if response.status_code == 200 else None

    def vmm_pid(self, identifier):
        with open(os.path.join(self.hearthd.runtime, self.vm(identifier), "pid")) as file:
            return int(file.read())

    def stop_vmm(self, identifier):
        """SIGSTOP, which takes effect once the process has its turn. Returns its number."""
        pid = self.vmm_pid(identifier)
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", "it is not stopped")
        return pid

    def begin_as(self, how):
        (self.folder / "start").write_text(how)

    def peak_kib(self):
        with open(f"/proc/{self.hearthd.process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))

    def processor_s(self):
        with open(f"/proc/{self.hearthd.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """hearthd ends well, and leaves nothing."""
        assert self.hearthd.stop() == 0
        assert not os.path.exists(self.hearthd.runtime) or os.listdir(self.hearthd.runtime) == []

    def wait_for_log(self, pattern, timeout=10):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.hearthd.log()):
            assert time.monotonic() < deadline, self.hearthd.log()
            time.sleep(0.05)
