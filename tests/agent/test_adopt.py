"""The agent as a copy of another (AGENT_ADOPT): what it accepts, and that interpreters are seeded anew.

Here the agent is not PID 1, so clock, names and the kernel's generator stay as they are. What a copy shares without a
reseeding is shown by test_unique.py; tests/e2e/test_uniqueness.py restores real ones.
"""

import os
import struct
import time

import pytest

from agent import ADOPT, ADOPTED, NODE, OK

NEW, KEEP = 1, 2


def adopt(connection, time_ns=None, identity=NEW, padding=bytes(7), entropy=None, name=b"hearth-7", body=None):
    """Why the guest was not adopted; empty if it was."""
    if body is None:
        time_ns = time.time_ns() if time_ns is None else time_ns
        body = struct.pack("<QB", time_ns, identity) + padding + (entropy or os.urandom(64)) + name
    connection.send_frame(ADOPT, 78, body)
    kind, request, body = connection.frame()
    assert (kind, request) == (ADOPTED, 78)
    return body.decode()


@pytest.mark.parametrize("identity", [NEW, KEEP])
@pytest.mark.parametrize("name", [b"a", b"Hearth-7", b"0", b"x" * 63])
def test_a_sound_request_is_carried_out(connection, identity, name):
    assert adopt(connection, identity=identity, name=name) == ""


@pytest.mark.parametrize("fields, sentence", [
    ({"body": b""}, "the request is too short"),
    ({"body": bytes(79)}, "the request is too short"),
    ({"time_ns": 0}, "the time is not one of this age"),
    ({"time_ns": 2 ** 64 - 1}, "the time is not one of this age"),
    ({"identity": 0}, "the identity is unknown"),
    ({"identity": 3}, "the identity is unknown"),
    ({"padding": b"\0\0\0\0\0\0\1"}, "the identity is unknown"),
    ({"entropy": bytes(64)}, "the randomness is one byte, repeated"),
    ({"name": b""}, "the host name is not"),
    ({"name": b"x" * 64}, "the host name is not"),
    ({"name": b"-a"}, "the host name is not"),
    ({"name": b"a-"}, "the host name is not"),
    ({"name": b"a.b"}, "the host name is not"),
    ({"name": b"a\nb"}, "the host name is not"),
    ({"name": b"a\0b"}, "the host name is not"),
    ({"name": "é".encode()}, "the host name is not"),
    ({"name": b"x" * 100_000}, "the host name is not"),
])
def test_an_unsound_request_is_refused_with_a_sentence(connection, run, fields, sentence):
    assert adopt(connection, **fields).startswith(sentence)
    assert run("1").outcome == OK


def test_adoption_is_refused_while_code_runs(agent, connection):
    connection.start("import time\ntime.sleep(60)")
    time.sleep(0.5)
    other = agent.connect()
    assert adopt(other) == "an execution is running"
    connection.interrupt()
    connection.finish()
    assert adopt(other) == ""
    other.close()


def test_python_is_seeded_before_its_next_code(run, connection):
    run("import random, numpy.random, tempfile, uuid\nrandom.seed(1); numpy.random.seed(1)\n"
        "tempfile.gettempprefix(); names = tempfile._get_candidate_names(); node = uuid.getnode()")
    expected = run("import random as r, numpy\n(r.Random(1).random(), numpy.random.RandomState(1).random_sample())").text
    assert run("(random.random(), numpy.random.random_sample())").text == expected
    run("random.seed(1); numpy.random.seed(1)")
    assert adopt(connection) == ""
    values = run("[random.random(), numpy.random.random_sample()]").text
    assert all(one not in expected for one in values.strip("[]").split(", "))
    assert run("tempfile._get_candidate_names() is names, uuid.getnode() == node").text == "(False, False)"
    assert run("uuid.uuid1() != uuid.uuid1() and uuid.uuid1().version").text == "1"


def test_python_survives_code_that_broke_what_is_seeded(run, connection):
    run("import sys, random, tempfile\nrandom.seed = sys.modules['numpy.random'] = sys.modules['uuid'] = None\n"
        "del tempfile._name_sequence")
    assert adopt(connection) == ""
    assert run("1 + 1").text == "2"
    run("import importlib\nfor name in 'numpy.random', 'uuid': del sys.modules[name]\n"
        "importlib.reload(random); importlib.reload(tempfile)")


def test_node_is_seeded_before_its_next_code(run, connection):
    outcome = run("const kept = Math.random; [kept === Math.random, typeof kept()]", NODE)
    assert outcome.text == "[ true, 'number' ]"
    assert adopt(connection) == ""
    # What code has kept of Math is seeded with it.
    assert run("kept === Math.random", NODE).text == "true"


def test_math_random_is_uniform(run):
    outcome = run("""
        const counts = new Array(16).fill(0);
        let low = 1, high = 0;
        for (let i = 0; i < 160000; i++) {
          const x = Math.random();
          counts[Math.floor(x * 16)]++;
          low = Math.min(low, x); high = Math.max(high, x);
        }
        [low >= 0 && high < 1, low < 0.001, high > 0.999, counts.every((n) => Math.abs(n - 10000) < 700)]
        """, NODE)
    assert outcome.text == "[ true, true, true, true ]"


def test_math_random_looks_like_the_original(run):
    assert run("[Math.random.name, Math.random.length, 'prototype' in Math.random, Object.keys(Math).length]",
               NODE).text == "[ 'random', 0, false, 0 ]"
