"""Runs cells that need nothing of IPython: no magic, no await, and nobody who listens to executions.

IPython's way through a cell writes to some 380 pages of memory, which a copy of a template has to copy one by one before
its first result. This way writes to a third of them. It differs in nothing that a cell can see: what is left for later,
the history, is written as soon as a cell might look at it.
"""

import ast
import contextlib
import inspect
import linecache
import re
import sys

from IPython.core.autocall import IPyAutocall
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult
from IPython.core.macro import Macro

CELL_MAX = 256 << 10
UNSTORED_MAX = 100
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
FIRST_WORD = re.compile(r"\w*")
TRANSFORMERS = [len(getattr(TransformerManager(), name)) for name in (
    "cleanup_transforms", "line_transforms", "token_transformers")]
LOOKS_BACK = ("_i", "In", "ipython", "globals", "locals", "vars", "__main__", "eval", "exec")


class PlainCells:
    def __init__(self, shell):
        self.shell = shell
        self.hook = shell.displayhook
        self.manager = shell.input_transformer_manager
        self.line_magics = shell.magics_manager.magics["line"]
        self.listeners = list(shell.events.callbacks.values())
        self.n_own_listeners = sum(map(len, self.listeners))
        self.unstored = []  # numbers and texts of the cells whose history is still to be written
        # The names that IPython adds to the builtins stay there; it would put them in and out with each cell.
        shell.builtin_trap.__enter__()
        # Reading a trait takes a walk through its class; its value, once it has one, is here.
        shell.execution_count = shell.execution_count
        self.traits = shell._trait_values

    def is_beyond_magic(self, cell):
        """True if IPython would leave the cell alone, should it be sound Python.

        Python's grammar has no magic, with these exceptions: a prompt that was copied ("In [1]: x" is an annotation), a
        lone line that begins with the name of a magic ("ls"), a macro or the like, and what the code has registered.
        Leading lines that are empty are taken off. Of strings with escapes, the parser may warn, but should once.
        """
        if not cell or cell[0].isspace() or "In [" in cell or "\\" in cell or self.has_transformers():
            return False
        if "\n" in cell.rstrip("\n"):
            return True
        word = FIRST_WORD.match(cell)[0]
        return not (word in self.line_magics or isinstance(self.shell.user_ns.get(word), (Macro, IPyAutocall)) or
                    self.traits.get("autocall"))

    def has_transformers(self):
        manager = self.manager
        present = [len(manager.cleanup_transforms), len(manager.line_transforms), len(manager.token_transformers)]
        return present != TRANSFORMERS or any(map(self.traits.get, ("ast_transformers", "input_transformers_post")))

    def has_listeners(self):
        return (self.shell.custom_exceptions or sum(map(len, self.listeners)) != self.n_own_listeners or
                self.traits.get("ast_node_interactivity", "last_expr") != "last_expr")

    def compile(self, cell, name):
        """The code of the cell, a last expression's apart; None if it cannot be compiled or has to be awaited."""
        flags = self.shell.compile.flags | FLAGS
        if cell.find("\n") == len(cell) - 1 and ":" not in cell and ";" not in cell:
            codes = [compile(cell, name, "single", flags, True)]  # one simple statement
        else:
            tree = compile(cell, name, "exec", flags | ast.PyCF_ONLY_AST, True)
            last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
            codes = [compile(tree, name, "exec", flags, True)] if tree.body else []
            codes += [compile(ast.Interactive(last), name, "single", flags, True)] if last else []
        return None if any(code.co_flags & ASYNCHRONOUS for code in codes) else codes

    def run(self, text):
        """Runs a cell: True if nothing was raised, None if the cell is none of ours."""
        if len(text) > CELL_MAX or "__future__" in text or self.has_listeners() or not self.is_beyond_magic(text):
            return None
        cell = text if text.endswith("\n") else text + "\n"
        number = self.traits["execution_count"]
        name = f"<ipython-input-{number}>"
        codes = None
        with contextlib.suppress(SyntaxError, ValueError, TypeError, OverflowError, MemoryError, RecursionError):
            codes = self.compile(cell, name)  # what is wrong with a cell, IPython shall say
        if codes is None:
            return None
        self.traits["execution_count"] = number + 1
        self.shell.compile._filename_map[name] = number
        linecache.cache[name] = len(cell), None, cell.splitlines(True), name
        self.unstored.append((number, cell, text))
        if len(self.unstored) > UNSTORED_MAX or any(word in text for word in LOOKS_BACK):
            self.store()
        succeeded = self.execute(codes)
        self.tell_new_listeners(text, succeeded)
        return succeeded

    def tell_new_listeners(self, text, succeeded):
        """Who began to listen while the cell ran (pyplot does when it is imported) hears of its end."""
        if sum(map(len, self.listeners)) != self.n_own_listeners:
            result = ExecutionResult(ExecutionInfo(text, True, False, True, None))
            result.execution_count = self.traits["execution_count"] - 1
            if not succeeded:
                result.error_in_exec = getattr(sys, "last_value", None)
            self.shell.events.trigger("post_execute")
            self.shell.events.trigger("post_run_cell", result)

    def execute(self, codes):
        __tracebackhide__ = "__ipython_bottom__"  # a traceback begins below this frame
        namespace = self.shell.user_ns
        namespace.pop("__warningregistry__", None)
        sys.displayhook = self.hook
        try:
            for code in codes:
                exec(code, namespace, namespace)
            return True
        except SystemExit:
            self.shell.showtraceback(exception_only=True)
        except BaseException:
            self.shell.showtraceback(running_compiled_code=True)
        return False

    def store(self):
        """Writes what was left of the history."""
        unstored, self.unstored = self.unstored, []
        for cell in unstored:
            self.shell.history_manager.store_inputs(*cell)

    def text(self):
        """The cell that runs, if it is one of ours and its history is not written yet."""
        return self.unstored[-1][1] if self.unstored else None
