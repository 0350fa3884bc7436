import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "monitoring"))

from native import hearthd  # noqa: E402, F401
