"""What makes this interpreter's randomness its own when it is one of many copies of one snapshot.

The kernel's is fresh already, and so is what asks it each time: os.urandom(), secrets, uuid4(), numpy's default_rng().
Here is what Python and its libraries keep in memory. The seed of str.__hash__() cannot be changed in a running
interpreter, and generators that the user's code made are its own.
"""

import contextlib
import os
import random
import sys

generator = random._inst  # the one behind random.random() and the like


def reseed_numpy(seed):
    """The generator behind numpy.random.rand() and the like, if it was loaded: otherwise it starts fresh."""
    module = sys.modules.get("numpy.random")
    if module is not None:
        module.seed([int.from_bytes(seed[at:at + 4], "little") for at in range(0, len(seed), 4)])


def reseed_openssl(seed):
    """RAND_add() has OpenSSL draw from the kernel again, too, and all its threads after it."""
    module = sys.modules.get("ssl")
    if module is not None:
        module.RAND_add(seed, 0.0)


def forget_uuid1():
    """libuuid keeps a clock sequence that cannot be reached: Python's own way is taken, with a new node."""
    module = sys.modules.get("uuid")
    if module is not None:
        module._generate_time_safe = None
        module._node = generator.getrandbits(48) | 1 << 40  # marked as no hardware's address (RFC 9562)
        module._last_timestamp = None


def forget_temporary_names():
    module = sys.modules.get("tempfile")
    if module is not None and module._name_sequence is not None:
        module._name_sequence = None


def renew_authentication_key():
    module = sys.modules.get("multiprocessing.process")
    if module is not None:
        module.current_process().authkey = os.urandom(32)


def reseed(seed, code_ran):
    """Takes 64 fresh random bytes in.

    code_ran: whether the user's code may have used a generator that starts when it is first used. One that has not
    started needs nothing, and to look would write to memory that is still shared.
    """
    generator.seed(int.from_bytes(seed[:32], "little"))
    steps = [forget_temporary_names, lambda: reseed_numpy(seed[32:])]
    steps += [lambda: reseed_openssl(seed[32:]), forget_uuid1] if code_ran else [renew_authentication_key]
    for step in steps:
        with contextlib.suppress(Exception):  # the code may have put anything in a module's place
            step()
