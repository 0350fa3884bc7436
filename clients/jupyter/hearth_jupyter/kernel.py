"""The bridge: a Jupyter kernel on this side, a session of Hearth on the other. It runs no code itself."""

import json
import os

from IPython.core.inputtransformer2 import TransformerManager
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from .service import Service, ServiceError

SCALAR = "application/vnd.hearth.scalar+json"
TIMEOUT_S = 86400  # of a cell; the service cuts it to what it allows

LANGUAGES = {
    "python": {"name": "python", "mimetype": "text/x-python", "file_extension": ".py", "pygments_lexer": "ipython3",
               "codemirror_mode": {"name": "ipython", "version": 3}},
    "node": {"name": "javascript", "mimetype": "text/javascript", "file_extension": ".js", "pygments_lexer": "javascript",
             "codemirror_mode": "javascript"},
}

# Both run in the session, among its names, and leave nothing there. The value is a JSON text.
COMPLETE = """
import json
from IPython.core.completer import provisionalcompleter, rectify_completions
shell, code, position = get_ipython(), {code!r}, {position}
with provisionalcompleter():
    found = list(rectify_completions(code, shell.Completer.completions(code, position)))[:500]
json.dumps([[one.start, one.end, one.text, one.type] for one in found])
"""
INSPECT = """
import json
from IPython.utils.tokenutil import token_at_cursor
try:
    found = get_ipython().object_inspect_mime(token_at_cursor({code!r}, {position}), detail_level={level})
except KeyError:
    found = None
json.dumps(found)
"""


def notebook_data(bundle):
    """An event's bundle as Jupyter messages hold it: of JSON types the value, not its text."""
    data = {}
    for kind, text in bundle.items():
        if kind == SCALAR:
            continue
        if kind == "application/json" or kind.endswith("+json"):
            try:
                text = json.loads(text)
            except ValueError:
                continue
        data[kind] = text
    return data


class HearthKernel(Kernel):
    implementation = "hearth"
    implementation_version = "0.1"
    banner = "Code runs in a session of Hearth, in a microVM of its own."

    def __init__(self, **options):
        super().__init__(**options)
        self.language = os.environ.get("HEARTH_JUPYTER_LANGUAGE") or "python"
        self.language_info = LANGUAGES[self.language]
        self.identifier = os.environ["HEARTH_JUPYTER_SESSION"]
        self.service = Service()

    def body(self, code, **options):
        return {"code": code, "language": self.language, "timeoutInSeconds": TIMEOUT_S, **options}

    # ---- running ----

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_options):
        if not code.strip():
            return self.succeeded()
        try:
            error = self.run(code, silent)
        except ServiceError as problem:
            error = {"ename": "HearthError", "evalue": str(problem), "traceback": [f"HearthError: {problem}"]}
            self.tell(silent, "error", error)
        except KeyboardInterrupt:
            # The connection is closed, by which the service interrupts the code.
            error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt: the cell was interrupted"]}
            self.tell(silent, "error", error)
        return {"status": "error", "execution_count": self.execution_count, **error} if error else self.succeeded()

    def succeeded(self):
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

    def tell(self, silent, kind, content):
        if not silent:
            self.send_response(self.iopub_socket, kind, content)

    def run(self, code, silent):
        """Tells what comes of the code. Returns the error that it failed with, if it did."""
        error, last_line = None, ""
        for kind, data in self.service.execute(self.identifier, self.body(code, returnErrorData=True)):
            if kind in ("stdout", "stderr"):
                last_line = data["text"].strip().rpartition("\n")[2] or last_line
                self.tell(silent, "stream", {"name": kind, "text": data["text"]})
            elif kind == "display":
                self.tell(silent, "display_data", {"data": notebook_data(data), "metadata": {}, "transient": {}})
            elif kind == "result":
                self.tell(silent, "execute_result",
                          {"data": notebook_data(data), "metadata": {}, "execution_count": self.execution_count})
            elif kind == "exception":
                error = data
                self.tell(silent, "error", error)
            elif kind == "error":
                raise ServiceError(data["error"]["message"])
            elif kind == "done":
                if data["status"] != "Succeeded" and error is None:
                    # Its time was over, or the interpreter is lost: the service has said so on stderr.
                    error = {"ename": "ExecutionFailed", "evalue": last_line, "traceback": [last_line]}
                    self.tell(silent, "error", error)
                return error if data["status"] != "Succeeded" else None
        raise ServiceError("the service ended the answer before the code had ended: its log may say why")

    # ---- what an editor asks ----

    def ask(self, code):
        """The JSON value of Python code that leaves no trace in the session; None if it has none."""
        if self.language != "python":
            return None
        try:
            text = self.service.evaluate(self.identifier, self.body(code, leaveNoTrace=True))
            return json.loads(text) if isinstance(text, str) and text else None
        except (ServiceError, ValueError):
            return None

    def do_complete(self, code, cursor_pos):
        found = self.ask(COMPLETE.format(code=code, position=cursor_pos)) or []
        start, end = (found[0][0], found[0][1]) if found else (cursor_pos, cursor_pos)
        types = [{"start": s, "end": e, "text": text, "type": kind} for s, e, text, kind in found]
        return {"status": "ok", "matches": [text for _, _, text, _ in found], "cursor_start": start, "cursor_end": end,
                "metadata": {"_jupyter_types_experimental": types}}

    def do_inspect(self, code, cursor_pos, detail_level=0, omit_sections=()):
        found = self.ask(INSPECT.format(code=code, position=cursor_pos, level=int(detail_level)))
        return {"status": "ok", "found": found is not None, "data": found or {}, "metadata": {}}

    def do_is_complete(self, code):
        """A matter of the grammar alone, so nobody else is asked."""
        if self.language != "python":
            return {"status": "unknown"}
        status, indent = TransformerManager().check_complete(code)
        return {"status": status, "indent": " " * indent} if status == "incomplete" else {"status": status}

    def do_shutdown(self, restart):
        try:
            self.service.end(self.identifier)
        except ServiceError:
            pass  # it was never made, or ends when it has been idle for long
        return {"status": "ok", "restart": restart}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=HearthKernel)
