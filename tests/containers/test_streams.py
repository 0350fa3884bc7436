"""Bodies of any size and kind, both ways, through real microVMs; tests/service/test_proxy*.py has the details of HTTP."""

import hashlib
import threading
import time

MIB = 1 << 20


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return f"{value:016x}"


def pieces(size, piece=b"0123456789abcdef" * 4096):
    while size:
        yield piece[:size]
        size -= min(size, len(piece))


def rss_kib(service):
    return int(service.host.shell(f"grep VmRSS /proc/{service.hearthd_pid()}/status").split()[1])


