"""No two sessions share randomness or identity, though all come from one template (docs/agent.md, "Copies").

Each source is read in each of many new sessions, by the first code that runs there; a value that comes twice fails.
"""

import json
import time

import pytest

SESSIONS = 50
CLOCK_ERROR_S = 0.05

PYTHON = """
    import os, random, secrets, socket, time, uuid
    wall, monotonic, boot = time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    import json, ssl, tempfile
    import numpy
    def text(path):
        with open(path) as file:
            return file.read().strip()
    with open('/dev/urandom', 'rb') as file:
        device = file.read(16).hex()
    print(json.dumps({
        'unique': {
            'getrandom': os.getrandom(16).hex(), '/dev/urandom': device, 'random': random.getrandbits(128),
            'random.random': random.random(), 'secrets': secrets.token_hex(16), 'uuid4': uuid.uuid4().hex,
            'uuid1': uuid.uuid1().hex, 'numpy legacy': numpy.random.bytes(16).hex(),
            'numpy default_rng': numpy.random.default_rng().bytes(16).hex(), 'ssl': ssl.RAND_bytes(16).hex(),
            'tempfile': next(tempfile._get_candidate_names()),
            'boot ID': text('/proc/sys/kernel/random/boot_id'), 'machine ID': text('/etc/machine-id'),
            'host name': socket.gethostname(), '/etc/hostname': text('/etc/hostname'),
        },
        'own name resolves': socket.gethostbyname(socket.gethostname()),
        'hash': hash('hearth'), 'wall': wall, 'monotonic': monotonic, 'boot': boot, 'later': time.monotonic(),
    }))
    """
NODE = """
    const crypto = require("crypto");
    console.log(JSON.stringify({
      randomUUID: crypto.randomUUID(), randomBytes: crypto.randomBytes(16).toString('hex'), mathRandom: Math.random(),
      randomInt: [1, 2, 3].map(() => crypto.randomInt(2 ** 47)).join(),
      getRandomValues: crypto.webcrypto.getRandomValues(new Uint8Array(16)).join(),
      privateKey: crypto.generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }).d,
    }))
    """


def duplicates(values):
    return sorted({value for value in values if values.count(value) > 1})


@pytest.fixture(scope="module")
def drawn(client):
    """Of each session: what Python saw, what Node saw, and when the host asked and was answered."""
    found = []
    for number in range(SESSIONS):
        identifier = f"unique-{time.time_ns():x}-{number}"
        try:
            asked = time.time()
            python = client.execute(identifier, PYTHON, "python")
            answered = time.time()
            node = client.execute(identifier, NODE, "node")
            assert python.ok and node.ok, (python, node)
            found.append((json.loads(python.stdout), json.loads(node.stdout), asked, answered))
        finally:
            client.end(identifier)
    return found


def test_no_python_source_repeats(drawn):
    sources = {name: [python["unique"][name] for python, *_ in drawn] for name in drawn[0][0]["unique"]}
    assert {name: values for name, values in ((n, duplicates(v)) for n, v in sources.items()) if values} == {}


def test_no_node_source_repeats(drawn):
    sources = {name: [node[name] for _, node, *_ in drawn] for name in drawn[0][1]}
    assert {name: values for name, values in ((n, duplicates(v)) for n, v in sources.items()) if values} == {}


def test_ids_have_their_form(drawn):
    for python, *_ in drawn:
        unique = python["unique"]
        assert len(unique["machine ID"]) == 32 and int(unique["machine ID"], 16)
        assert [len(part) for part in unique["boot ID"].split("-")] == [8, 4, 4, 4, 12]
        assert unique["host name"] == unique["/etc/hostname"]
        assert python["own name resolves"].startswith("127.")


def test_the_wall_clock_is_right(drawn, slowness):
    """The code reads the clock between the request and the answer: that much is known of when."""
    for python, _, asked, answered in drawn:
        assert asked - CLOCK_ERROR_S * slowness <= python["wall"] <= answered + CLOCK_ERROR_S * slowness


def test_monotonic_time_goes_on_and_does_not_jump(drawn):
    for python, _, asked, answered in drawn:
        assert 0 <= python["later"] - python["monotonic"] <= answered - asked + 1
        assert 0 < python["monotonic"] and python["boot"] - python["monotonic"] < 1


def test_the_hash_seed_is_the_one_thing_that_copies_share(drawn, record_property):
    """It cannot be changed in a running interpreter (docs/agent.md); sessions that were booted have one each."""
    record_property("hash seeds", len({python["hash"] for python, *_ in drawn}))
    assert all(isinstance(python["hash"], int) for python, *_ in drawn)
