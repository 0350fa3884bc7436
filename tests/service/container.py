"""What runs in a container's place: a server of raw bytes, which does with each connection what a test says."""

import contextlib
import socket
import threading


class Connection:
    """One of hearthd's, as the container sees it."""

    def __init__(self, stream):
        self.socket = stream
        self.socket.settimeout(20)
        self.left = b""

    def receive(self):
        return self.socket.recv(65536)

    def read_until(self, end):
        while end not in self.left:
            data = self.receive()
            if not data:
                raise EOFError(self.left)
            self.left += data
        taken, _, self.left = self.left.partition(end)
        return taken + end

    def read(self, size):
        while len(self.left) < size:
            data = self.receive()
            if not data:
                raise EOFError(self.left)
            self.left += data
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def read_head(self):
        """The request's first line and a list of its headers, as they stand."""
        lines = self.read_until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        return lines[0], [tuple(line.split(": ", 1)) for line in lines[1:]]

    def read_chunks(self):
        """The body and its trailers."""
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            body += self.read(size)
            assert self.read(2) == b"\r\n"
        trailers = b""
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            trailers += line
        return body, trailers

    def send(self, data):
        self.socket.sendall(data)


class Container:
    def __init__(self, folder):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port_file = folder / "ingress"
        self.listen()
        self.serve = None
        self.n_connections = 0
        self.seen = []
        self.failures = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def listen(self):
        self.port_file.write_text(str(self.listener.getsockname()[1]))

    def vanish(self):
        """Nothing listens any more."""
        self.port_file.write_text("1")

    def be_silent(self):
        """The guest takes connections and does not say what becomes of them."""
        self.port_file.write_text("silent")

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self.listener.accept()
                self.n_connections += 1
                threading.Thread(target=self.run, args=(Connection(stream),), daemon=True).start()

    def run(self, connection):
        try:
            self.serve(connection)
        except (EOFError, OSError):
            pass
        except Exception as failure:
            self.failures.append(failure)
        finally:
            connection.socket.close()

    def answer(self, response):
        """Gives this answer to every request without a body, and keeps the connection."""
        def serve(connection):
            while True:
                self.seen.append(connection.read_head())
                connection.send(response)
        self.serve = serve

    def close(self):
        self.listener.close()
        assert not self.failures, self.failures
