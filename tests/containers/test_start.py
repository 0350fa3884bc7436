"""How a session of a container begins: as a clone of one that runs and answers, or before its entrypoint; and when it cannot."""

from conftest import Pool

SECRET = "not-to-be-seen-0815"


def test_a_warm_session_answers(echo):
    answer = echo.get("hello")
    assert answer["method"] == "GET" and answer["target"].startswith("/hello?identifier=")
    assert echo.show()["source"] == "warm"
    assert echo.get("again")["request"] == 2


def test_clones_share_a_start_and_nothing_else(echo_pool):
    first, second = echo_pool.session(), echo_pool.session()
    one, two = first.get("random"), second.get("random")
    assert one["atStart"] == two["atStart"]  # one server was started, once
    assert one["random"] != two["random"]    # what the kernel gives is each one's own
    assert one["counter"] == two["counter"] == 1
    assert first.get("random")["counter"] == 2 and second.get("random")["counter"] == 2
    first.end(), second.end()


def test_a_session_is_told_whose_it_is(echo, echo_pool):
    answer = echo.get("environment")
    lines = answer["handedOver"].splitlines()
    assert f"HEARTH_SESSION_IDENTIFIER={echo.identifier}" in lines
    assert f"HEARTH_SESSION_ID={echo.show()['etag']}" in lines
    assert f"HEARTH_SESSION_POOL={echo_pool.name}" in lines


def test_the_entrypoint_has_the_pools_variables_and_secrets(make_pool):
    pool = make_pool("echo", container={"env": [{"name": "COLOUR", "value": "blue"}, {"name": "KEY", "secretRef": "key"}]},
                     secrets=[{"name": "key", "value": SECRET}])
    session = pool.session()
    variables = session.get("environment")["variables"]
    assert "COLOUR=blue" in variables and f"KEY={SECRET}" in variables
    shown = pool.client.http.get(pool.path, timeout=60)
    assert SECRET not in shown.text and '"key"' in shown.text
    assert SECRET not in pool.service.log()
    session.end()


def test_one_that_must_not_be_copied_running_starts_in_each_session(make_pool):
    pool = make_pool("echo", ready=1, template={"snapshot": "BeforeEntrypoint"})
    pool.client.wait_until_ready(1, 300)
    first, second = pool.session(), pool.session()
    one, two = first.get("random"), second.get("random")
    assert one["atStart"] != two["atStart"]
    assert first.show()["source"] == "warm"
    assert f"HEARTH_SESSION_IDENTIFIER={first.identifier}" in first.get("environment")["variables"]
    first.end(), second.end()


def test_command_arguments_and_port(make_pool):
    pool = make_pool("echo", container={"command": ["/echo"], "args": [], "env": [{"name": "PORT", "value": "9000"}]},
                     template={"ingress": {"targetPort": 9000}})
    session = pool.session()
    assert session.get("x")["method"] == "GET"
    session.end()


def test_a_script_on_busybox(make_pool):
    """Its user is root in the container; what it writes goes over the image's layers."""
    script = "echo one >/written; id -u; cat /proc/1/comm; while true; do nc -l -p 7000 -e echo hello; done"
    pool = make_pool("busybox", container={"command": ["/bin/busybox", "sh", "-c"], "args": [
        "mkdir -p /bin && /bin/busybox --install -s /bin; export PATH=/bin; " + script]}, template={"ingress": {"targetPort": 7000}})
    session = pool.session()
    answer = session.request("GET", "")
    assert answer.status_code == 502, answer.text  # that is no HTTP
    assert session.logs()[0]["stdout"].splitlines()[0] == "0"
    session.end()


def test_a_web_service_in_python(make_pool):
    pool = make_pool("service", container={"probes": [
        {"type": "Startup", "httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 2, "failureThreshold": 90}]})
    session = pool.session()
    run = session.request("POST", "run", json={"code": "x = 6 * 7; x"}).json()
    assert run["result"] == "42" and run["run"] == 1
    assert session.request("POST", "run", json={"code": "x + 1"}).json()["result"] == "43"
    session.end()


# ---- that cannot be --------------------------------------------------------------------------------------------------

def test_an_image_that_is_not_there_is_refused(make_pool, service):
    response = Pool(service, "no-image", "no/such:image").put()
    assert response.status_code == 404 and response.json()["error"]["code"] == "ImageNotFound"
    assert "hearth image import" in response.json()["error"]["message"]


def test_an_entrypoint_that_is_not_there(make_pool):
    pool = make_pool("echo", container={"command": ["/no/such/program"]})
    response = pool.session().request("GET", "x")
    assert response.status_code == 500, response.text
    assert "/no/such/program" in response.json()["error"]["message"]


def test_a_container_that_ends_at_once_is_shown_with_its_last_words(make_pool):
    pool = make_pool("busybox", container={"command": ["/bin/busybox", "sh", "-c", "echo the reason is this; exit 3"]},
                     template={"ingress": {"targetPort": 7000}})
    session = pool.session()
    response = session.request("GET", "x")
    assert response.status_code == 500, response.text
    message = response.json()["error"]["message"]
    assert "status 3" in message and "the reason is this" in message
    text, ended = session.logs()
    assert text["stdout"] == "the reason is this\n" and ended["exitCode"] == 3


def test_a_container_that_is_not_ready_in_time(make_pool):
    pool = make_pool("busybox", container={"command": ["/bin/busybox", "sleep", "1000"], "probes": [
        {"type": "Startup", "tcpSocket": {"port": 7000}, "periodSeconds": 1, "failureThreshold": 3}]},
        template={"ingress": {"targetPort": 7000}})
    response = pool.session().request("GET", "x")
    assert response.status_code == 500, response.text
    error = response.json()["error"]
    assert error["code"] == "SessionAllocationFailed" and "startup probe" in error["message"]
