"""Files of the data folder: the operations, their limits, and ways out of the folder that there must not be."""

import os
import socket
import struct
import time

import pytest

from agent import OK

LIST, STAT, READ, WRITE, DELETE, DATA, COMMIT = range(5, 12)
INFO, DONE = 25, 26
FINE, NOT_FOUND, INVALID, IS_FOLDER, NOT_FOLDER, TOO_LARGE, NO_SPACE, FAILED, CUT = range(9)
REGULAR, FOLDER = 1, 2
CHUNK = 64 << 10
UNLIMITED = 1 << 40
FROM_END = TO_END = (1 << 64) - 1


def encoded(path):
    return path if isinstance(path, bytes) else path.encode()


class Files:
    """The host's side of the file operations; each has a connection of its own."""

    def __init__(self, agent):
        self.agent = agent

    def finish(self, connection, request=1):
        """(status, entries, content)"""
        entries, content = {}, b""
        while True:
            kind, about, body = connection.frame()
            assert about == request
            if kind == INFO:
                file_kind, size, mtime_ns = struct.unpack_from("<B7xQQ", body)
                entries[body[24:]] = (file_kind, size, mtime_ns)
            elif kind == DATA:
                assert len(body) <= CHUNK
                content += body
            else:
                assert kind == DONE
                status, _ = struct.unpack_from("<II", body)
                assert (status in (FINE, CUT)) == (not body[8:])
                return status, entries, content

    def order(self, kind, path, prefix=b""):
        connection = self.agent.connect()
        connection.send_frame(kind, 1, prefix + encoded(path))
        answer = self.finish(connection)
        connection.close()
        return answer

    def list(self, path="", recursive=False):
        return self.order(LIST, path, struct.pack("<Q", recursive))

    def stat(self, path):
        return self.order(STAT, path)

    def read(self, path, offset=0, length=TO_END):
        return self.order(READ, path, struct.pack("<QQ", offset, length))

    def delete(self, path):
        return self.order(DELETE, path)[0]

    def begin_write(self, path, limit=UNLIMITED):
        connection = self.agent.connect()
        connection.send_frame(WRITE, 1, struct.pack("<Q", limit) + encoded(path))
        return connection

    def write(self, path, content=b"", limit=UNLIMITED):
        connection = self.begin_write(path, limit)
        for at in range(0, len(content), CHUNK):
            connection.send_frame(DATA, 1, content[at:at + CHUNK])
        connection.send_frame(COMMIT, 1)
        answer = self.finish(connection)
        connection.close()
        return answer


@pytest.fixture
def files(agent):
    return Files(agent)


@pytest.fixture
def work(agent, tmp_path):
    """A folder of the test's own in the data folder; its path from there."""
    name = os.path.basename(tmp_path)
    os.mkdir(os.path.join(agent.work, name))
    return name


def on_disk(agent, *path):
    return os.path.join(agent.work, *path)


def test_write_read_stat_list_delete(agent, files, work):
    content = os.urandom(300_000)
    before_ns = time.time_ns()
    status, entries, _ = files.write(f"{work}/a.bin", content)
    assert status == FINE
    kind, size, mtime_ns = entries[f"{work}/a.bin".encode()]
    assert (kind, size) == (REGULAR, len(content))
    assert abs(mtime_ns - before_ns) < 10e9
    with open(on_disk(agent, work, "a.bin"), "rb") as file:
        assert file.read() == content
    assert files.read(f"{work}/a.bin") == (FINE, entries, content)
    assert files.stat(f"{work}/a.bin") == (FINE, entries, b"")
    assert files.list(work) == (FINE, entries, b"")
    assert files.delete(f"{work}/a.bin") == FINE
    assert files.list(work) == (FINE, {}, b"")


@pytest.mark.parametrize("name", ["a b.txt", "día ñ.txt", "100%.txt", "%2e%2e", 'q"uo\'te', "new\nline", "x" * 255,
                                  b"\xff\xfe", "-rf", ".hidden", "...", "a\\b"])
def test_any_name_that_a_file_can_have(files, work, name):
    path = work.encode() + b"/" + encoded(name)
    assert files.write(path, b"x")[0] == FINE
    assert list(files.list(work)[1]) == [path]
    assert files.read(path)[2] == b"x"
    assert files.delete(path) == FINE


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_sizes(files, work, size):
    assert files.write(f"{work}/f", b"z" * size)[0] == FINE
    status, entries, content = files.read(f"{work}/f")
    assert (status, len(content)) == (FINE, size)


@pytest.mark.parametrize("offset, length, part", [
    (0, 1, slice(0, 1)), (5, CHUNK + 3, slice(5, CHUNK + 8)), (CHUNK, TO_END, slice(CHUNK, None)),
    (7, 1 << 63, slice(7, None)), (FROM_END, 9, slice(-9, None)), (FROM_END, 1 << 40, slice(None)),
    (FROM_END, 0, slice(0, 0)), (3, 0, slice(0, 0)), (3 * CHUNK, TO_END, slice(0, 0)),
    (1 << 63, TO_END, slice(0, 0)), (TO_END - 1, TO_END, slice(0, 0))])
def test_a_part_of_a_file(files, work, offset, length, part):
    content = os.urandom(3 * CHUNK)
    files.write(f"{work}/f", content)
    status, entries, found = files.read(f"{work}/f", offset, length)
    assert status == FINE and found == content[part]
    assert entries[f"{work}/f".encode()][1] == len(content)


def test_a_write_replaces_the_file_at_its_end(agent, files, work):
    files.write(f"{work}/f", b"old")
    connection = files.begin_write(f"{work}/f")
    connection.send_frame(DATA, 1, b"new!")
    assert files.read(f"{work}/f")[2] == b"old"
    assert os.listdir(on_disk(agent, work)) == ["f"]
    connection.send_frame(COMMIT, 1)
    assert files.finish(connection)[0] == FINE
    connection.close()
    assert files.read(f"{work}/f")[2] == b"new!"
    assert os.listdir(on_disk(agent, work)) == ["f"]


def test_a_write_that_breaks_off_leaves_nothing(agent, files, work):
    for what in (b"", b"some"):
        connection = files.begin_write(f"{work}/f")
        if what:
            connection.send_frame(DATA, 1, what)
        connection.close()
    assert files.stat(f"{work}/f")[0] == NOT_FOUND
    assert os.listdir(on_disk(agent, work)) == []


def test_folders_are_made_and_listed(files, work):
    assert files.write(f"{work}/a/b/c.txt", b"1")[0] == FINE
    assert files.write(f"{work}/top.txt", b"22")[0] == FINE
    kinds = {path.decode()[len(work) + 1:]: kind for path, (kind, *_) in files.list(work)[1].items()}
    assert kinds == {"a": FOLDER, "top.txt": REGULAR}
    kinds = {path.decode()[len(work) + 1:]: kind for path, (kind, *_) in files.list(work, True)[1].items()}
    assert kinds == {"a": FOLDER, "a/b": FOLDER, "a/b/c.txt": REGULAR, "top.txt": REGULAR}
    assert files.stat(f"{work}/a")[1].popitem()[1][0] == FOLDER


def test_what_is_not_what_was_meant(files, work):
    files.write(f"{work}/a/f", b"1")
    assert files.read(f"{work}/a")[0] == IS_FOLDER
    assert files.delete(f"{work}/a") == IS_FOLDER
    assert files.list(f"{work}/a/f")[0] == NOT_FOLDER
    assert files.write(f"{work}/a/f/g", b"1")[0] == NOT_FOLDER
    assert files.list(f"{work}/none")[0] == NOT_FOUND
    assert files.read(f"{work}/none")[0] == NOT_FOUND
    assert files.delete(f"{work}/none/none") == NOT_FOUND
    connection = files.begin_write(f"{work}/a")
    assert files.finish(connection)[0] == IS_FOLDER
    connection.close()


def test_more_than_the_limit_is_refused_and_leaves_nothing(agent, files, work):
    assert files.write(f"{work}/f", b"x" * 100_000, limit=99_999)[0] == TOO_LARGE
    assert files.write(f"{work}/g", b"x" * 100_000, limit=100_000)[0] == FINE
    assert os.listdir(on_disk(agent, work)) == ["g"]


@pytest.mark.parametrize("path", ["../outside", "..", "a/../../../outside", "/etc/passwd", "", ".", "a/..",
                                  "y" * 256, "z/" * 2100, "nul\0nul"])
def test_paths_that_are_none(files, path):
    assert files.write(path, b"x")[0] in (INVALID, IS_FOLDER)
    assert files.delete(path) in (INVALID, IS_FOLDER, NOT_FOUND)
    if path not in ("", ".", "a/.."):
        assert files.read(path)[0] in (INVALID, NOT_FOUND)
        assert files.list(path)[0] in (INVALID, NOT_FOUND)


def test_links_do_not_lead_out(agent, files, work, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    os.symlink(secret, on_disk(agent, work, "absolute"))
    os.symlink(os.path.relpath(secret, on_disk(agent, work)), on_disk(agent, work, "relative"))
    os.symlink(tmp_path, on_disk(agent, work, "folder"))
    os.symlink("/proc/self/root", on_disk(agent, work, "magic"))
    os.symlink("loop", on_disk(agent, work, "loop"))
    for path in ("absolute", "relative", "folder/secret", "folder", f"magic{secret}", "loop"):
        assert files.read(f"{work}/{path}")[0] == INVALID, path
        assert files.stat(f"{work}/{path}")[0] == INVALID, path
        assert files.list(f"{work}/{path}")[0] == INVALID, path
    assert files.write(f"{work}/folder/new", b"x")[0] == INVALID
    assert files.delete(f"{work}/folder/secret") == INVALID
    assert files.list(work, True) == (FINE, {}, b"")
    # Writing to a link's name replaces the link; deleting it deletes the link.
    assert files.write(f"{work}/absolute", b"mine")[0] == FINE
    assert files.delete(f"{work}/relative") == FINE
    assert secret.read_bytes() == b"secret"
    assert os.listdir(tmp_path) == ["secret"]


def test_links_within_the_folder_are_followed(agent, files, work):
    files.write(f"{work}/a/f", b"1")
    os.symlink("a", on_disk(agent, work, "b"))
    os.symlink("..", on_disk(agent, work, "a", "up"))
    assert files.read(f"{work}/b/f")[2] == b"1"
    listed = {path.decode()[len(work) + 1:] for path in files.list(work, True)[1]}
    assert listed == {"a", "a/f", "a/up", "b"}


def test_pipes_and_sockets_neither_block_nor_count(agent, files, work):
    os.mkfifo(on_disk(agent, work, "pipe"))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(on_disk(agent, work))  # the path of a socket must be short
        listener.bind("socket")
        os.chdir(here)
    for name in ("pipe", "socket"):
        assert files.read(f"{work}/{name}")[0] == INVALID
        assert files.stat(f"{work}/{name}")[0] == INVALID
    assert files.list(work) == (FINE, {}, b"")


def test_a_long_list_is_cut_and_says_so(agent, files, work):
    for number in range(10_001):
        open(on_disk(agent, work, f"{number:05}"), "wb").close()
    status, entries, _ = files.list(work)
    assert (status, len(entries)) == (CUT, 10_000)


def test_transfers_do_not_stand_in_the_way_of_code(agent, files, work, run):
    content = os.urandom(8 << 20)
    writer = files.begin_write(f"{work}/big")
    assert files.write(f"{work}/big2", content)[0] == FINE
    reader = agent.connect()
    reader.send_frame(READ, 1, struct.pack("<QQ", 0, TO_END) + f"{work}/big2".encode())  # and does not read
    assert run("print(1)").stdout == b"1\n"
    assert agent.resident_bytes() < 8 << 20
    assert files.finish(reader)[2] == content
    writer.close()
    reader.close()


def test_code_sees_what_was_written_and_the_host_what_code_wrote(files, work, run):
    files.write(f"{work}/in.txt", b"41")
    outcome = run(f"n = int(open('{work}/in.txt').read()) + 1\nopen('{work}/out.txt', 'w').write(str(n))")
    assert outcome.outcome == OK
    assert files.read(f"{work}/out.txt")[2] == b"42"


def test_a_file_that_shrinks_is_told(agent, files, work):
    files.write(f"{work}/f", b"x" * (4 << 20))
    connection = agent.connect()
    connection.send_frame(READ, 1, struct.pack("<QQ", 0, TO_END) + f"{work}/f".encode())
    time.sleep(0.3)
    os.truncate(on_disk(agent, work, "f"), 0)
    status, entries, content = files.finish(connection)
    assert status == FAILED and len(content) < 4 << 20
    connection.close()


@pytest.mark.parametrize("frames", [
    [(DATA, b"x")], [(COMMIT, b"")],                                    # of no write
    [(WRITE, struct.pack("<Q", 9) + b"f"), (WRITE, struct.pack("<Q", 9) + b"g")],  # two at a time
    [(WRITE, struct.pack("<Q", 1 << 20) + b"f"), (DATA, b"x" * (CHUNK + 1))],
    [(WRITE, struct.pack("<Q", 9) + b"f"), (COMMIT, b"x")],
    [(WRITE, b"short")], [(LIST, b"short")], [(READ, b"fifteen bytes..")], [(LIST, struct.pack("<Q", 2))],
    [(INFO, b"")], [(DONE, b"")],
])
def test_nonsense_ends_the_connection(agent, files, frames):
    connection = agent.connect()
    for kind, body in frames:
        connection.send_frame(kind, 1, body)
    with pytest.raises((EOFError, ConnectionError)):
        connection.frame()
    assert files.stat("f")[0] == NOT_FOUND
