"""The measuring client, against a server that answers as told."""

import socket
import threading

import pytest
import rest


class Server:
    """Answers each request with the next of its texts; "" closes the connection instead."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while self.answers:
            connection, _ = self.socket.accept()
            with connection:
                while self.answers and (request := connection.recv(65536)):
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    if not answer:
                        break
                    for part in answer:
                        connection.sendall(part.encode())
        self.socket.close()


OK = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nX-Hearth-Timing: source=warm,execution=1.5,total=2\r\n\r\n"
BODY = '{"result": 42}\n'


def test_answer_in_pieces_and_a_connection_that_stays():
    server = Server([OK[:30], OK[30:] + BODY[:4], BODY[4:]], [OK + BODY])
    client = rest.Client(server.url, "secret")
    for _ in range(2):
        answer = client.request("POST", "executions", {"code": "1"}, identifier="a b")
        assert answer.status == 200 and answer.json() == {"result": 42}
        assert answer.timing() == {"source": "warm", "execution": 1.5, "total": 2.0}
    server.thread.join(5)
    assert server.requests[0].startswith(b"POST /executions?identifier=a+b&api-version=")
    assert b"Authorization: Bearer secret\r\n" in server.requests[0]


def test_idle_connection_that_was_closed_is_made_anew():
    server = Server([OK + BODY], "", [OK + BODY])
    client = rest.Client(server.url, "t")
    assert client.request("GET", "healthz").status == 200
    assert client.request("GET", "healthz").status == 200
    server.thread.join(5)
    assert len(server.requests) == 3


def test_server_that_always_closes_is_an_error():
    server = Server("", "", "")
    with pytest.raises(rest.RestError):
        rest.Client(server.url, "t").request("GET", "healthz")


def test_wrong_results_are_errors():
    body = '{"status":"Failed","result":{"stdout":""}}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    with pytest.raises(rest.RestError):
        rest.Client(Server([head + body]).url, "t").execute("a", "1")
    with pytest.raises(rest.RestError):
        rest.Client(Server(["HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n"]).url, "t").execute("a", "1")
    body = '{"status":"Succeeded","result":{"stdout":"2\\n"}}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    with pytest.raises(rest.RestError):
        rest.Client(Server([head + body]).url, "t").print_one("a")


@pytest.mark.parametrize("text, parts", [("", {}), ("a=1,b=x", {"a": 1.0, "b": "x"}), (" a=1 , nonsense", {"a": 1.0})])
def test_timing(text, parts):
    assert rest.parse_timing(text) == parts
