"""What two copies of one process share and what the drivers' reseeding changes of it.

A process that is process 1 of a PID namespace is cloned, by the bare system call, into further ones in which the clones
are process 1, too. Neither library nor interpreter can tell that it was copied, as in VMs that were restored from one
snapshot. Each source is also shown to be the same in both where it is not reseeded: the test would see it.
"""

import json
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
IN_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")

PYTHON = """
import ctypes, json, os, signal, sys
sys.path.insert(0, DRIVERS)
import random, ssl, tempfile, uuid
import numpy
import python_unique
SOURCES = {
    "random": lambda: random.getrandbits(64), "numpy": lambda: int(numpy.random.randint(1 << 62)),
    "ssl": lambda: ssl.RAND_bytes(8).hex(), "tempfile": lambda: next(tempfile._get_candidate_names()),
    "uuid1": lambda: uuid.uuid1().hex[16:],  # clock sequence and node
    "uuid4": lambda: uuid.uuid4().hex, "default_rng": lambda: int(numpy.random.default_rng().integers(1 << 62)),
    "urandom": lambda: os.urandom(8).hex(),
}
def draw():
    return {name: source() for name, source in SOURCES.items()}
def clone():
    reader, writer = os.pipe()
    pid = ctypes.CDLL(None).syscall(56, 0x20000000 | signal.SIGCHLD, 0, 0, 0, 0)
    assert pid >= 0 and os.getpid() == 1
    if pid == 0:
        if RESEED:
            python_unique.reseed(os.urandom(64), CODE_RAN)
        os.write(writer, json.dumps(draw()).encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 65536)
    os.close(reader)
    return json.loads(text)
if CODE_RAN:
    draw()
print(json.dumps([clone(), clone()]))
"""

NODE = """
const fs = require('node:fs');
const crypto = require('node:crypto');
const clone = require(CLONE);
const unique = require(DRIVERS + '/node_unique.js');
unique.installMathRandom();
const draw = () => ({ randomUUID: crypto.randomUUID(), randomInt: [1, 2, 3].map(() => crypto.randomInt(2 ** 40)),
  randomBytes: crypto.randomBytes(8).toString('hex'), mathRandom: Math.random(),
  getRandomValues: [...globalThis.crypto.getRandomValues(new Uint8Array(8))],
  key: crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x });
if (CODE_RAN) draw();
const files = [0, 1].map((i) => `${FOLDER}/${i}`);
for (const file of files) {
  const pid = clone();
  if (pid < 0 || process.pid !== 1) throw new Error('cannot clone');
  if (pid > 0) continue;
  const seed = Buffer.alloc(64);
  if (RESEED) {
    const fd = fs.openSync('/dev/urandom');
    fs.readSync(fd, seed);
    unique.reseed(seed, CODE_RAN);
  }
  fs.writeFileSync(`${file}.part`, JSON.stringify(draw()));
  fs.renameSync(`${file}.part`, file);
  process.reallyExit(0);
}
const wait = new Int32Array(new SharedArrayBuffer(4));
for (let i = 0; i < 1000 && !files.every((file) => fs.existsSync(file)); i++) Atomics.wait(wait, 0, 0, 10);
console.log(`[${files.map((file) => fs.readFileSync(file)).join()}]`);
process.reallyExit(0);
"""


def run(folder, command, code):
    """What each of two clones drew, by source."""
    path = os.path.join(folder, "code")
    with open(path, "w") as file:
        file.write(code)
    found = subprocess.run([*IN_NAMESPACE, *command, path], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def same(drawn):
    one, two = drawn
    return sorted(name for name in one if one[name] == two[name])


@pytest.fixture
def may_clone():
    if subprocess.run([*IN_NAMESPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("PID namespaces need root")


@pytest.fixture
def python_clones(may_clone, python, drivers, tmp_path):
    def clones(reseed, code_ran):
        constants = f"DRIVERS, RESEED, CODE_RAN = {drivers!r}, {reseed}, {code_ran}\n"
        return run(tmp_path, [python, "-I"], constants + PYTHON)

    return clones


@pytest.fixture
def node_clones(may_clone, node, drivers, tmp_path):
    def clones(reseed, code_ran):
        addon = os.path.join(tmp_path, "clone.node")
        subprocess.run([shutil.which("cc") or pytest.skip("no C compiler"), "-shared", "-fPIC", "-o", addon,
                        os.path.join(HERE, "same_pid_clone.c")], check=True)
        constants = {"CLONE": addon, "DRIVERS": drivers, "FOLDER": str(tmp_path), "RESEED": reseed, "CODE_RAN": code_ran}
        code = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in constants.items()) + NODE
        return run(tmp_path, [node, "--single-threaded"], code)

    return clones


def test_copies_of_python_share_what_is_not_reseeded(python_clones):
    assert same(python_clones(False, True)) == ["numpy", "random", "ssl", "tempfile", "uuid1"]


@pytest.mark.parametrize("code_ran", [True, False])
def test_reseeded_copies_of_python_share_nothing(python_clones, code_ran):
    assert same(python_clones(True, code_ran)) == []


def test_copies_of_node_share_what_is_not_reseeded(node_clones):
    assert same(node_clones(False, True)) == ["getRandomValues", "key", "mathRandom", "randomBytes", "randomInt", "randomUUID"]


@pytest.mark.parametrize("code_ran", [True, False])
def test_reseeded_copies_of_node_share_nothing(node_clones, code_ran):
    assert same(node_clones(True, code_ran)) == []
