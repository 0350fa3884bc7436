"""The network of sessions, end to end: a pool's policy decides, what is denied fails at once, and all of it is in the log.

hearth-netd's own tests (tests/network) have the attacks; here is what an ordinary user in a guest can try.
"""

import secrets
import time

import pytest

from service import ROOT, Service, Session

DATABASE = "/tmp/hearth-e2e-network.db"
OPTIONS = ("--database", DATABASE, "--session-memory-mib", "512", "--max-sessions", "8", "--ready-sessions", "0",
           "--min-cooldown-seconds", "1")
READY = "/tmp/hearth-e2e-network-ready"
HOST, ALLOWED, OTHER = "198.18.7.1", "198.18.7.2", "198.18.8.2"
CODE = """
import errno, os, socket, time, urllib.request
def get(host):
    return urllib.request.urlopen(f"http://{host}/", timeout=20).read().decode()
def attempt(address, port=80, kind=socket.SOCK_STREAM):
    "What became of it, and whether that took long."
    s, began = socket.socket(socket.AF_INET, kind), time.monotonic()
    s.settimeout(15)
    try:
        s.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            s.send(b"ping")
            s.recv(100)
        return "reached"
    except OSError as error:
        what = errno.errorcode.get(error.errno, type(error).__name__)
        return what if time.monotonic() - began < 10 else "slow " + what
    finally:
        s.close()
"""


@pytest.fixture(scope="module")
def networked(host, service):
    if host.run("id", "-u").strip() != "0":
        pytest.skip("network namespaces with a way to this machine need root")
    service.stop()
    host.shell(f"rm -f {DATABASE}* {READY}")
    host.shell(f"cd {ROOT} && {{ setsid python3 tests/e2e/network_peer.py {READY} >/tmp/hearth-e2e-peer.log 2>&1 & }} ;"
               f"for i in $(seq 200); do [ -s {READY} ] && exit; sleep 0.1; done; cat /tmp/hearth-e2e-peer.log >&2; exit 1")
    networked = Service(host)
    try:
        networked.start(*OPTIONS)
        yield networked
    finally:
        networked.stop()
        host.shell(f"kill $(cat {READY}); rm -f {DATABASE}* {READY}")
        service.start()


def put_pool(client, name, status="EgressEnabled", policy=None, ready=0):
    network = {"status": status}
    if policy:
        network["egressPolicy"] = policy
    made = client.request("PUT", f"sessionPools/{name}", json={"properties": {
        "sessionNetworkConfiguration": network, "resources": {"memory": "0.5Gi"},
        "scaleConfiguration": {"maxConcurrentSessions": 6, "readySessionInstances": ready}}})
    assert made.status_code in (200, 201), made.text
    return client.request("GET", f"sessionPools/{name}").json()["properties"]["sessionNetworkConfiguration"]


@pytest.fixture(scope="module")
def pool(networked):
    policy = {"defaultAction": "Deny", "allow": [f"{ALLOWED}/32", "server.hearth.test"], "deny": []}
    assert put_pool(networked.client(), "online", policy=policy) == {"status": "EgressEnabled", "egressPolicy": policy}
    return networked.client("online")


@pytest.fixture(scope="module")
def session(pool):
    session = Session(pool, f"net-{secrets.token_hex(4)}")
    assert session.python(CODE, timeout=200).ok
    return session


def connections(networked, guid, within=10, **wanted):
    """The lines of event=network about that session that have these fields."""
    deadline = time.monotonic() + within
    while True:
        lines = [dict(word.split("=", 1) for word in line.split() if "=" in word)
                 for line in networked.log().splitlines() if "event=network" in line and f"session={guid[:8]}" in line]
        found = [line for line in lines if wanted.items() <= line.items()]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def guid_of(session):
    return session.python("1").response.headers["x-ms-session-guid"]


def test_without_egress_there_is_no_device(networked):
    assert put_pool(networked.client(), "offline", "EgressDisabled") == {"status": "EgressDisabled"}
    session = Session(networked.client("offline"), "offline")
    assert session.python("import os; ' '.join(os.listdir('/sys/class/net'))", timeout=200).result == "lo"
    session.end()


def test_what_is_allowed_is_reached(session):
    assert session.python("' '.join(sorted(os.listdir('/sys/class/net')))").result == "eth0 lo"
    assert session.python(f"get('{ALLOWED}')").result == "hello from outside"
    assert session.python(f"attempt('{ALLOWED}', 7, socket.SOCK_DGRAM)").result == "reached"


def test_names_are_resolved_and_denied(session):
    assert session.python("get('server.hearth.test')").result == "hello from outside"
    denied = session.python("try: socket.gethostbyname('other.hearth.test')\nexcept OSError as e: print(type(e).__name__)")
    assert denied.stdout.strip() == "gaierror"


@pytest.mark.parametrize("address", [OTHER, HOST, "10.0.2.2", "169.254.169.254", "10.1.2.3", "10.0.2.16"])
def test_what_is_denied_fails_at_once(session, address):
    assert session.python(f"attempt('{address}')").result in ("ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EACCES")


@pytest.mark.parametrize("address,port", [(OTHER, 7), (OTHER, 53), (HOST, 53), ("224.0.0.1", 7)])
def test_datagrams_are_denied(session, address, port):
    assert session.python(f"attempt('{address}', {port}, socket.SOCK_DGRAM)").result != "reached"


def test_an_ordinary_user_has_no_other_way_out(session):
    result = session.python("""
        for arguments in ((socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.AF_PACKET, socket.SOCK_RAW)):
            try:
                socket.socket(*arguments)
                print("raw packets", arguments)
            except OSError:
                pass
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
                s.settimeout(10)
                s.connect(("2001:db8::1", 80))
                print("IPv6")
        except OSError:
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(("10.0.2.16", 0))
                print("another's address")
            except OSError:
                pass
        """)
    assert result.ok and result.stdout == "", result


def test_connections_are_in_the_log(networked, pool, session):
    guid = guid_of(session)
    allowed = connections(networked, guid, destination=ALLOWED, port="80", verdict="allowed")
    assert allowed and allowed[0]["pool"] == "online" and int(allowed[0]["received"]) > len("hello from outside")
    denied = connections(networked, guid, destination=OTHER, verdict="denied", protocol="tcp")
    assert denied and denied[0]["port"] == "80"
    assert connections(networked, guid, protocol="dns", domain="other.hearth.test", verdict="denied")
    metrics = networked.client().request("GET", "metrics").text
    assert 'hearth_network_connections_total{verdict="allowed"}' in metrics


def test_a_fork_and_a_resumed_session_have_a_network(pool, session):
    pool.order("fork", session.identifier, target="net-fork")
    assert Session(pool, "net-fork").python(f"get('{ALLOWED}')", timeout=200).result == "hello from outside"
    Session(pool, "net-fork").end()
    pool.order("suspend", session.identifier)
    assert session.python(f"get('{ALLOWED}')", timeout=200).result == "hello from outside"


def test_a_warm_clone_has_a_network_and_a_policy_counts_for_the_next(networked):
    client = networked.client()
    policy = {"defaultAction": "Allow", "allow": [f"{ALLOWED}/32"]}
    put_pool(client, "warm", policy=policy, ready=1)
    pool = networked.client("warm")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not any("source=warm" in line and "pool=warm" in line
                                                  for line in networked.log().splitlines()):
        session = Session(pool, f"warm-{secrets.token_hex(4)}")
        assert session.python(CODE + f"\nget('{ALLOWED}')", timeout=200).result == "hello from outside"
        session.end()
        time.sleep(3)
    put_pool(client, "warm", policy={"defaultAction": "Allow", "allow": []})
    session = Session(pool, f"warm-{secrets.token_hex(4)}")
    assert session.python(CODE + f"\nattempt('{ALLOWED}')", timeout=200).result == "ECONNREFUSED"
    session.end()


def test_nothing_is_left_of_a_session(networked, host, pool):
    session = Session(pool, "net-last")
    assert session.python("import os; ' '.join(sorted(os.listdir('/sys/class/net')))", timeout=200).result == "eth0 lo"

    def count():
        return int(host.shell("pgrep -cx 'hearth-netd|passt.*' || true").split()[0])

    wanted = count() - 2
    session.end()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and count() > wanted:
        time.sleep(0.5)
    assert count() <= wanted


def test_a_killed_hearthd_leaves_the_network_to_the_next(networked, session):
    networked.kill()
    networked.start(*OPTIONS)
    again = Session(networked.client("online"), session.identifier)
    assert again.python(f"get('{ALLOWED}')", timeout=200).result == "hello from outside"
    guid = guid_of(again)
    start = len(connections(networked, guid, destination=ALLOWED, port="80"))
    assert again.python(f"get('{ALLOWED}')", timeout=200).result == "hello from outside"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(connections(networked, guid, destination=ALLOWED, port="80")) <= start:
        time.sleep(0.2)
    assert len(connections(networked, guid, destination=ALLOWED, port="80")) > start
