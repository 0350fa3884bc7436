"""Starts the Python driver of hearth-agent. All of it is in modules, because those are kept compiled.

The folder is on the path only while they are loaded, and the user's never before: with -I neither the working directory
nor the environment can slip a module under the driver.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import python_serve  # noqa: E402

del sys.path[0]
python_serve.Driver().serve()
