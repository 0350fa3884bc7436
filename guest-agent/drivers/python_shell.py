"""One IPython shell without a terminal: runs cells, and turns values into the MIME bundles of agent_protocol.h."""

import ast
import base64
import builtins
import contextlib
import copy
import inspect
import json
import linecache
import math
import os
import struct
import sys
import tempfile
import traceback
import warnings

import IPython
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import python_plain
import python_tables

DISPLAY = 20
RESULT = 21

# Flags of an execution.
FRESH = 1
NO_TRACE = 2
ERROR_DATA = 4

SCALAR = "application/vnd.hearth.scalar+json"
ERROR = "application/vnd.hearth.error+json"
TEXT_MAX = 1 << 20  # characters of text/plain, and of a string as a scalar
ENTRY_MAX = 12 << 20  # bytes of any other entry
BUNDLE_MAX = 15 << 20
ENTRIES_MAX = 32
TRACEBACK_LINES_MAX = 5000
INTEGER_BITS_MAX = 1 << 20

# IPython looks at a cell's tokens several times, and at its whole source for a traceback: not at this size.
LARGE_CODE = 256 << 10
LONG_CELL = 1000  # statements

FOLDER = os.path.dirname(os.path.abspath(__file__))
LAST_ERROR = ("last_type", "last_value", "last_traceback", "last_exc")
BASE64_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")


def cut(text):
    if len(text) <= TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]}… [{len(text) - TEXT_MAX} more characters were cut]"


def plain_value(value):
    """The bool, int, float or str that a value is, numpy's scalars included; None for anything else."""
    if type(value) in (bool, int, float, str):
        return value
    numpy = sys.modules.get("numpy")
    generic = getattr(numpy, "generic", None)
    if isinstance(generic, type) and isinstance(value, generic):
        kind = value.dtype.kind
        if kind in "biufU":
            return {"b": bool, "i": int, "u": int, "f": float, "U": str}[kind](value)
    return None


def scalar_json(value):
    """The JSON text of a number, boolean or string; None if the value is none of them."""
    plain = plain_value(value)
    if plain is None or (isinstance(plain, int) and plain.bit_length() > INTEGER_BITS_MAX):
        return None
    if isinstance(plain, float) and not math.isfinite(plain):
        return "null"
    if isinstance(plain, str):
        plain = cut(plain)
    return json.dumps(plain, ensure_ascii=False)


def encode_entry(kind, data):
    """The bytes of one entry, or None if it cannot be sent."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, str):
        if kind in BASE64_TYPES:
            return base64.b64decode(data)
        # A lone surrogate has no UTF-8.
        return (cut(data) if kind == "text/plain" else data).encode("utf-8", "replace")
    return json.dumps(data, default=str).encode("utf-8", "replace")


def encode_bundle(data):
    """A bundle of what can be sent of {MIME type: data}; None if nothing can."""
    entries = []
    size = 0
    for kind, value in data.items():
        try:
            name = kind.encode("ascii")
            entry = encode_entry(kind, value)
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
        if len(entry) > ENTRY_MAX or size + len(entry) > BUNDLE_MAX:
            print(f"[{kind} of {len(entry)} bytes is too large to be shown]", file=sys.stderr)
            continue
        if 0 < len(name) <= 255 and len(entries) < ENTRIES_MAX:
            size += len(entry)
            entries.append(struct.pack("<H", len(name)) + name + struct.pack("<I", len(entry)) + entry)
    return struct.pack("<H", len(entries)) + b"".join(entries) if entries else None


def trim(trace):
    """Takes the driver's own frames off the inner end of a traceback: an interrupt is raised in its signal handler."""
    last = None
    while trace:
        if os.path.dirname(trace.tb_frame.f_code.co_filename) != FOLDER:
            last = trace
        trace = trace.tb_next
    if last:
        last.tb_next = None


def describe_interrupt(value, trace):
    """The plain traceback: IPython's own has to be loaded first, and who interrupts does not wait for that."""
    above = os.path.dirname(IPython.__file__), FOLDER
    while trace.tb_next and trace.tb_frame.f_code.co_filename.startswith(above):
        trace = trace.tb_next
    return "".join(traceback.format_exception(KeyboardInterrupt, value, trace))


def text_of(value):
    """What an exception says, if it can be had."""
    try:
        return cut(str(value))
    except Exception:
        return "<exception str() failed>"


def put_back(container, before):
    """Makes a dict or list hold what it held before; what is alike is not written."""
    if isinstance(container, list):
        container[:] = before
        return
    for key in [key for key in container if key not in before]:
        del container[key]
    for key, value in before.items():
        if key not in container or container[key] is not value:
            container[key] = value


class ResultHook(DisplayHook):
    """Keeps the value of a cell's last expression as a bundle."""

    bundle = None

    def quiet(self):
        """True if the cell ends with a semicolon. IPython tokenizes all of it to find out."""
        cell = self.shell.plain.text() or self.shell.history_manager.input_hist_parsed[-1]
        if len(cell) > LARGE_CODE or ";" not in cell:
            return cell.rstrip().endswith(";")
        return self.semicolon_at_end_of_expression(cell)

    def start_displayhook(self):
        pass

    def write_output_prompt(self):
        pass

    def compute_format_data(self, result):
        data, metadata = super().compute_format_data(result)
        scalar = scalar_json(result)
        if scalar is not None:
            data[SCALAR] = scalar
        return data, metadata

    def write_format_data(self, format_dict, md_dict=None):
        self.bundle = encode_bundle(format_dict)

    def log_output(self, format_dict):
        pass

    def finish_displayhook(self):
        pass

    def take(self):
        bundle, self.bundle = self.bundle, None
        return bundle


class Publisher(DisplayPublisher):
    send = staticmethod(lambda kind, body: None)

    def publish(self, data, metadata=None, **_options):
        bundle = encode_bundle(data)
        if bundle:
            sys.stdout.flush()
            sys.stderr.flush()
            self.send(DISPLAY, bundle)

    def clear_output(self, wait=False):
        pass


class Shell(InteractiveShell):
    wants_error_data = False  # of the execution that runs

    # Commands write to the same descriptors as everything else, so that their output streams too.
    system = InteractiveShell.system_raw

    def _tee(self, channel):
        """IPython would keep a copy of all output for its history."""
        return contextlib.nullcontext()

    def init_profile_dir(self, profile_dir):
        try:
            super().init_profile_dir(profile_dir)
        except Exception:  # the user's home may hold anything in its place
            self.ipython_dir = tempfile.mkdtemp()
            super().init_profile_dir(profile_dir)

    def transform_cell(self, raw_cell):
        """What is Python already stays as it is, which IPython finds out at length: it writes to 200 pages."""
        if len(raw_cell) > LARGE_CODE or self.plain.is_beyond_magic(raw_cell):
            with contextlib.suppress(SyntaxError, ValueError, MemoryError, RecursionError):
                ast.parse(raw_cell)
                return raw_cell if raw_cell.endswith("\n") else raw_cell + "\n"
        return super().transform_cell(raw_cell)

    def should_run_async(self, raw_cell, **options):
        # It would compile the cell to find out.
        if len(raw_cell) > LARGE_CODE and "await" not in raw_cell and "async" not in raw_cell:
            return False
        return super().should_run_async(raw_cell, **options)

    async def run_ast_nodes(self, nodelist, cell_name, interactivity="last_expr", compiler=None, result=None):
        """IPython compiles each statement for itself; of a long cell, all but the last are taken together."""
        if len(nodelist) > LONG_CELL and interactivity == "last_expr":
            statements = ast.Module(nodelist[:-1], [])
            with compiler.extra_flags(ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
                code = compiler(statements, cell_name, "exec")
            if await self.run_code(code, result, async_=bool(code.co_flags & inspect.CO_COROUTINE)):
                return True
            nodelist = nodelist[-1:]
        return await super().run_ast_nodes(nodelist, cell_name, interactivity, compiler, result)

    def show_error(self, kind, value, text):
        """Tells an exception: as data, if that is wanted, else by its text on stderr."""
        if not self.wants_error_data:
            print(text, file=sys.stderr, end="" if text.endswith("\n") else "\n")
            return
        name = getattr(kind, "__name__", str(kind))
        error = {"ename": name, "evalue": text_of(value), "traceback": cut(text).splitlines()[:TRACEBACK_LINES_MAX]}
        self.display_pub.publish({ERROR: error})

    def _showtraceback(self, etype, evalue, stb):
        self.show_error(etype, evalue, self.InteractiveTB.stb2text(stb))

    def show_usage_error(self, exc):
        self.show_error(type(exc), exc, f"UsageError: {exc}")

    def showtraceback(self, *args, exception_only=False, **options):
        if exception_only:  # SystemExit
            kind, value = sys.exc_info()[:2]
            self.show_error(kind, value, "".join(traceback.format_exception_only(kind, value)))
        else:
            kind, value, trace = sys.exc_info()
            trim(trace)
            if kind is KeyboardInterrupt:
                self.show_error(kind, value, describe_interrupt(value, trace))
            else:
                super().showtraceback(*args, **options)

    @contextlib.contextmanager
    def leaving_no_trace(self, with_names=True):
        """What cells leave behind when they run in here is taken back: numbers, history, names, the last error."""
        self.plain.store()
        history, hook = self.history_manager, self.displayhook
        last = {name: value for name, value in vars(sys).items() if name in LAST_ERROR}
        owners = [(owner, dict(vars(owner)), dict(owner._trait_values)) for owner in (self, history, hook)]
        containers = [history.input_hist_parsed, history.input_hist_raw, history.output_hist, linecache.cache,
                      self.compile._filename_map]
        containers += [self.user_ns, self.user_ns_hidden] if with_names else []
        for name in "outputs", "exceptions":  # of newer versions of IPython
            if hasattr(history, name):
                containers.append(getattr(history, name))
        saved = [copy.copy(container) for container in containers]
        try:
            yield
        finally:
            self.plain.unstored = []
            for container, before in zip(containers, saved):
                put_back(container, before)
            for owner, attributes, traits in owners:
                put_back(vars(owner), attributes)
                put_back(owner._trait_values, traits)
            for name in LAST_ERROR:
                vars(sys).pop(name, None)
            vars(sys).update(last)

    @contextlib.contextmanager
    def fresh_namespace(self):
        """Cells in here have names, numbers and a history of their own. What the session has is back afterwards."""
        main, folder = sys.modules["__main__"], os.getcwd()
        with self.leaving_no_trace(with_names=False):  # threads may go on with those
            try:
                self.user_module, self.user_ns = self.prepare_user_module()
                self.user_ns_hidden = {}
                sys.modules["__main__"] = self.user_module
                self.history_manager.input_hist_parsed[:] = self.history_manager.input_hist_raw[:] = [""]
                self.history_manager.output_hist.clear()
                self.execution_count = 1
                self.init_user_ns()
                self.user_ns["exit"] = self.user_ns["quit"] = leave
                yield
            finally:
                sys.modules["__main__"] = main
                with contextlib.suppress(OSError):  # the code may have removed it
                    os.chdir(folder)

    def run(self, code, flags=0):
        """Runs one cell as the flags say, and sends its value. True if nothing was raised."""
        self.wants_error_data = bool(flags & ERROR_DATA)
        if not flags & (FRESH | NO_TRACE):
            return self.run_one(code)
        with self.fresh_namespace() if flags & FRESH else self.leaving_no_trace():
            return self.run_one(code)

    def run_one(self, code):
        if len(code) > LARGE_CODE:
            self.InteractiveTB.set_mode("Plain")
        hook = self.plain.hook
        hook.take()
        succeeded = self.plain.run(code)
        if succeeded is None:
            self.plain.store()
            result = self.run_cell(code, store_history=True)
            succeeded = result is not None and result.success
        bundle = hook.take()
        if bundle and succeeded:
            self.display_pub.send(RESULT, bundle)
        return succeeded


def no_input(prompt="", /):
    raise EOFError("input() has nobody to ask: put the value into the code")


def leave(*code):
    """What exit() and quit() do: end the cell, not the interpreter."""
    raise SystemExit(*code)


def create(send):
    """The shell. send(type, body) sends a frame."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor" if IPython.version_info[0] >= 9 else "NoColor"
    config.InteractiveShell.display_page = True  # what would go to a pager is displayed
    config.InteractiveShell.xmode = "Context"
    config.InteractiveShell.displayhook_class = ResultHook
    config.InteractiveShell.display_pub_class = Publisher
    # An integer is a result with all its digits.
    sys.set_int_max_str_digits(0)
    Publisher.send = staticmethod(send)
    Shell.displayhook_class.default_value = ResultHook
    Shell.display_pub_class.default_value = Publisher
    shell = Shell.instance(config=config)
    shell.plain = python_plain.PlainCells(shell)
    shell.user_ns["exit"] = shell.user_ns["quit"] = leave
    builtins.input = no_input
    warnings.filterwarnings("ignore", message="To exit: use")
    warnings.filterwarnings("ignore", message="You executed the system command")
    python_tables.register(shell.display_formatter)
    sys.argv = [""]
    sys.path.insert(0, "")
    return shell
