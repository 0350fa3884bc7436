"""Where Azure's credentials get their tokens: the identity endpoint that Azure's App Service has, giving out API keys.

So a client's own way to a token (DefaultAzureCredential) runs unchanged, and only what it is given differs.
"""

import http.server
import json
import secrets
import threading
import time
import urllib.parse


class IdentityEndpoint:
    """Serves on a port of 127.0.0.1. `tokens` has the token for each resource; of others nothing is given."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.secret = secrets.token_hex(16)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def environment(self):
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}/msi/token",
                "IDENTITY_HEADER": self.secret}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, path, headers):
        if not secrets.compare_digest(headers.get("X-IDENTITY-HEADER", ""), self.secret):
            return 401, {"error": "unauthorized_client"}
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        resource = query.get("resource", "").rstrip("/")
        if resource not in self.tokens:
            return 400, {"error": "invalid_resource", "error_description": f"no token for {resource}"}
        return 200, {"access_token": self.tokens[resource], "expires_on": str(int(time.time()) + 86400),
                     "resource": resource, "token_type": "Bearer"}

    def handler(endpoint):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, answer = endpoint.answer(self.path, self.headers)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
