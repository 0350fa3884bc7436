"""Sessions beside one another: isolation, order, clients that go away, many in a row."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from service import Client, flat_body


def test_sessions_do_not_see_each_other(new_session):
    one, two = new_session(), new_session()
    one.python("""
        secret = 'one'
        open('/tmp/secret', 'w').write(secret)
        import os
        os.makedirs('/mnt/data', exist_ok=True)
        open('/mnt/data/secret', 'w').write(secret)
        """)
    assert "NameError" in two.python("secret").stderr
    assert two.python("""
        import os
        [os.path.exists(p) for p in ('/tmp/secret', '/mnt/data/secret')]
        """).result == "[False, False]"
    assert one.python("open('/tmp/secret').read()").result == "one"


def test_sessions_are_machines_of_their_own(new_session):
    code = "open('/proc/sys/kernel/random/boot_id').read().strip()"
    one, two = new_session(), new_session()
    first = one.python(code)
    assert first.result == one.python(code).result != two.python(code).result
    assert first.response.headers["x-ms-session-guid"] != two.python("1").response.headers["x-ms-session-guid"]


def test_two_executions_in_one_session_run_one_after_the_other(session, service):
    session.python("import time\nlog = []")
    with ThreadPoolExecutor() as pool:
        code = "log.append('begin {0}'); time.sleep(1); log.append('end {0}')"
        futures = []
        for name in "abcd":
            futures.append(pool.submit(service.client().execute, session.identifier, code.format(name)))
            time.sleep(0.3)
        assert all(future.result().ok for future in futures)
    assert session.python("' '.join(log)").result == " ".join(f"begin {n} end {n}" for n in "abcd")


def test_python_and_node_of_one_session_take_turns(session, service):
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(service.client().execute, session.identifier, code, language) for code, language in (
            ("import time; time.sleep(1); 'py'", "python"),
            ("await new Promise((done) => setTimeout(done, 1000)); 'js'", "node"),
        )]
        assert [future.result().result for future in futures] == ["py", "js"]


def test_an_execution_does_not_hold_up_another_session(new_session, service):
    slow, quick = new_session(), new_session()
    slow.python("import time")
    quick.python("1")
    with ThreadPoolExecutor() as pool:
        future = pool.submit(slow.python, "time.sleep(8)")
        time.sleep(0.5)
        began = time.monotonic()
        assert quick.python("1 + 1").result == 2
        assert time.monotonic() - began < 6
        assert not future.done()
        assert future.result().ok


def hang_up(service, identifier, body, after, **options):
    """Sends an execution and closes the connection before it can have ended."""
    try:
        service.client().post("executions", body, identifier=identifier, timeout=after, **options)
        raise AssertionError("the execution ended too soon")
    except requests.exceptions.Timeout:
        pass


def test_a_client_that_hangs_up_interrupts_its_code(session, service):
    session.python("kept = 5")
    hang_up(service, session.identifier, flat_body("import time\ntime.sleep(200)\nkept = 6"), after=3)
    began = time.monotonic()
    assert session.python("kept").result == 5
    assert time.monotonic() - began < 30


def test_a_client_that_hangs_up_while_it_streams(session, service):
    code = "import time\nfor i in range(2000):\n    print(i, flush=True)\n    time.sleep(0.1)"
    response = service.client().post("executions", flat_body(code), identifier=session.identifier, stream=True,
                                     headers={"Accept": "text/event-stream"})
    assert next(response.iter_lines())
    response.close()
    began = time.monotonic()
    assert session.python("6 * 7").result == 42
    assert time.monotonic() - began < 30


def test_a_client_that_hangs_up_while_it_waits_its_turn(session, service):
    session.python("import time\nran = []")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(session.python, "time.sleep(6)\nran.append('first')")
        time.sleep(1)
        hang_up(service, session.identifier, flat_body("ran.append('second')"), after=2)
        assert first.result().ok
    assert session.python("ran").result == "['first']"


def test_a_client_that_hangs_up_while_the_session_starts(new_session, service):
    session = new_session()
    try:
        service.client().post("executions", flat_body("x = 1"), identifier=session.identifier, timeout=0.3)
    except requests.exceptions.Timeout:
        pass
    assert session.python("6 * 7").result == 42


def test_a_client_that_reads_slowly_gets_everything(session):
    body = flat_body("for i in range(3000): print('x' * 999)")
    response = session.client.post("executions", body, identifier=session.identifier, stream=True,
                                   headers={"Accept": "text/event-stream"})
    size = 0
    for chunk in response.iter_content(200_000):
        size += len(chunk)
        time.sleep(0.2)
    assert size > 2 << 20  # the limit of 1 MiB as events, and once more in the answer


def test_many_requests_on_one_connection(session):
    for i in range(30):
        assert session.python(f"{i} * 2").result == i * 2


def test_20_sessions_in_a_row(new_session):
    for i in range(20):
        session = new_session()
        answer = session.python(f"print({i})\n{i} + 1")
        assert (answer.stdout, answer.result) == (f"{i}\n", i + 1)
        assert session.end().status_code == 204


def test_several_sessions_start_at_once(new_session, service):
    sessions = [new_session() for _ in range(3)]
    results = {}

    def run(i):
        results[i] = Client(service.url, service.token).execute(sessions[i].identifier, f"{i} + 100").result

    threads = [threading.Thread(target=run, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: i + 100 for i in range(3)}
