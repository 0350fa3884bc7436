"""Executions that nobody waits for: begun, asked for, cancelled, kept until their session ends."""

import time

import requests

from service import flat_body


def begin(session, code, operation_id=None, timeout=None, **options):
    headers = {"operation-id": operation_id} if operation_id else {}
    body = {**flat_body(code, timeout=timeout), "executionType": "Asynchronous"}
    response = session.client.post("executions", body, identifier=session.identifier, headers=headers, **options)
    assert response.status_code in (200, 202), f"{response.status_code}: {response.text}"
    return response


def ask(session, operation_id, method="GET", suffix=""):
    return session.client.request(method, f"executions/{operation_id}{suffix}", identifier=session.identifier)


def wait(session, operation_id, limit_s=60):
    deadline = time.monotonic() + limit_s
    while True:
        answer = ask(session, operation_id).json()
        if answer["status"] not in ("NotStarted", "Running"):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def wait_until_running(session, operation_id):
    deadline = time.monotonic() + 60
    while ask(session, operation_id).json()["status"] != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_begun_and_asked_for(session):
    session.python("import time")
    begun = begin(session, "print('hi'); time.sleep(2); 6 * 7")
    answer = begun.json()
    assert answer["status"] in ("NotStarted", "Running") and answer["executionType"] == "asynchronous"
    assert "result" not in answer and begun.headers["operation-id"] == answer["id"]
    assert begun.headers["Retry-After"] == "1"
    done = wait(session, answer["id"])
    assert done["status"] == "Succeeded" and done["id"] == answer["id"] and done["identifier"] == session.identifier
    assert done["result"]["stdout"] == "hi\n" and done["result"]["executionResult"] == 42
    assert done["result"]["executionTimeInMilliseconds"] >= 2000
    assert ask(session, answer["id"]).json() == done


def test_the_location_can_be_called_as_it_is(new_session):
    session = new_session()
    session.identifier += " a%2Fb/c?&=ü".encode("ascii", "ignore").decode()
    location = begin(session, "1 + 1").headers["operation-location"]
    headers = session.client.http.headers
    for _ in range(600):
        answer = requests.get(location, headers={"Authorization": headers["Authorization"]}, timeout=60).json()
        if answer["status"] == "Succeeded":
            break
        time.sleep(0.1)
    assert answer["result"]["executionResult"] == 2 and answer["identifier"] == session.identifier
    session.end()


def test_the_oldest_version_of_it_is_accepted_with_202(session):
    assert begin(session, "1", version="2024-10-02-preview").status_code == 202


def test_failure_and_time_limit_are_told(session):
    failed = wait(session, begin(session, "1 / 0").json()["id"])
    assert failed["status"] == "Failed" and "ZeroDivisionError" in failed["result"]["stderr"]
    late = wait(session, begin(session, "import time; time.sleep(60)", timeout=1).json()["id"])
    assert late["status"] == "Failed" and "timed out" in late["result"]["stderr"]


def test_what_runs_is_cancelled_and_the_session_goes_on(session):
    session.python("import time; x = 5")
    running = begin(session, "print('begun', flush=True)\nwhile True: time.sleep(0.01)").json()["id"]
    wait_until_running(session, running)
    assert ask(session, running, "POST", "/cancel").status_code == 202
    assert wait(session, running)["status"] == "Canceled"
    assert session.python("x").result == 5


def test_what_waits_is_cancelled_and_never_runs(session):
    session.python("import time; ran = []")
    first = begin(session, "time.sleep(2); ran.append('first')").json()["id"]
    second = begin(session, "ran.append('second')").json()["id"]
    answer = ask(session, second, "DELETE")
    assert answer.status_code == 200 and answer.json()["status"] == "Canceled"
    assert "before it began" in answer.json()["result"]["stderr"]
    assert wait(session, first)["status"] == "Succeeded"
    assert ask(session, first, "DELETE").json()["status"] == "Succeeded"  # it is over: nothing to cancel
    assert session.python("ran").result == "['first']"


def test_an_id_that_is_repeated_is_the_same_execution(session):
    session.python("count = 0")
    for _ in range(3):
        begin(session, "count += 1", operation_id="mine")
    assert wait(session, "mine")["status"] == "Succeeded"
    assert session.python("count").result == 1


def test_only_what_is_kept_is_found(new_session):
    one, two = new_session(), new_session()
    operation = begin(one, "1").json()["id"]
    wait(one, operation)
    two.python("1")
    for session, name in ((two, operation), (one, "other")):
        answer = ask(session, name)
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "ExecutionNotFound"
    one.end()
    one.python("1")
    assert ask(one, operation).status_code == 404


def test_the_newest_hundred_are_kept(session):
    session.python("1")
    for number in range(105):
        begin(session, "1", operation_id=f"n{number}")
        wait(session, f"n{number}")
    kept = [number for number in range(105) if ask(session, f"n{number}").status_code == 200]
    assert kept == list(range(5, 105))


def test_the_legacy_route_has_none_of_it(session):
    response = session.client.post("code/execute", {"properties": {
        "code": "1", "codeInputType": "inline", "executionType": "asynchronous"}}, identifier=session.identifier)
    assert response.status_code == 400 and response.json()["error"]["code"] == "SessionRequestNotSupported"
