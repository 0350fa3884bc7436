"""What was in the layers is in the image, exactly."""

import gzip
import io
import os
import stat
import subprocess
import tarfile

import pytest

from archives import BLOCK, CHARACTER, EMPTY, FIFO, directory, entry, file, hard_link, layer, symbolic_link

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_bind_service=ep


def names_below(folder):
    folder = os.fsencode(folder)
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, folders, files in os.walk(folder) for name in folders + files)


def read(*parts):
    with open(os.path.join(*parts), "rb") as source:
        return source.read()


def test_types_owners_modes_and_times(store, layout, mount):
    image = store.image(layout(layer(
        directory("bin", mode=0o755, uid=0, gid=0), file("bin/tool", b"#!", mode=0o4755, uid=1000, gid=2000, mtime=1e9),
        file("late", mtime=2 ** 33 + 0.5), file("early", mtime=-5), file("foreign", uid=2 ** 32 - 2, gid=70000),
        directory("tmp", mode=0o1777), entry("dev/null", CHARACTER, mode=0o666, devmajor=1, devminor=3),
        entry("dev/disk", BLOCK, devmajor=259, devminor=1000), entry("pipe", FIFO, mode=0o600))))
    top = mount(image)
    tool = os.stat(f"{top}/bin/tool")
    assert (stat.S_IMODE(tool.st_mode), tool.st_uid, tool.st_gid, tool.st_mtime) == (0o4755, 1000, 2000, 1e9)
    assert os.stat(f"{top}/late").st_mtime_ns == 2 ** 33 * 10 ** 9 + 500_000_000
    assert os.stat(f"{top}/early").st_mtime == -5
    assert (os.stat(f"{top}/foreign").st_uid, os.stat(f"{top}/foreign").st_gid) == (2 ** 32 - 2, 70000)
    assert stat.S_IMODE(os.stat(f"{top}/tmp").st_mode) == 0o1777
    null, disk = os.stat(f"{top}/dev/null"), os.stat(f"{top}/dev/disk")
    assert stat.S_ISCHR(null.st_mode) and null.st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK(disk.st_mode) and disk.st_rdev == os.makedev(259, 1000)
    assert stat.S_ISFIFO(os.stat(f"{top}/pipe").st_mode)


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 4031, 4032, 4033, 4095, 4096, 4097, 6144, 6145, 10 ** 6])
def test_contents_of_each_size(store, layout, mount, size):
    data = os.urandom(size)
    top = mount(store.image(layout(layer(file("a", data), file("b", b"next")))))
    assert read(top, "a") == data and read(top, "b") == b"next"
    assert os.stat(f"{top}/a").st_size == size


def test_odd_names(store, layout, mount):
    names = [b"new\nline", b'quote"', b"back\\slash", b"-dash", b"  spaces ", b"\xff\xfe\x80", "é".encode(),
             "e\u0301".encode(), "名前".encode(), b"n" * 255, b"..." b"", b".hidden", b"!first", b"~last", b"%41", b"a:b"]
    links = [(b"to " + name[:200], name) for name in names]
    top = os.fsencode(mount(store.image(layout(layer(
        *(file(b"d/" + name, name) for name in names), *(symbolic_link(b"s/" + link, b"../d/" + name) for link, name in links),
        *(hard_link(b"h/" + link, b"d/" + name) for link, name in links))))))
    assert sorted(os.listdir(top + b"/d")) == sorted(names)
    for link, name in links:
        assert read(top, b"d", name) == name
        assert os.readlink(top + b"/s/" + link) == b"../d/" + name and read(top, b"s", link) == name
        assert os.stat(top + b"/h/" + link).st_ino == os.stat(top + b"/d/" + name).st_ino


def test_names_of_old_and_gnu_archives(store, layout, mount):
    long = "/".join(["folder" * 10] * 20) + "/file"
    for number, format in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        image = store.image(layout(layer(file(long, b"deep"), symbolic_link("l", long), format=format)), f"n{number}")
    top = mount(image)
    assert read(top, long) == b"deep" and os.readlink(f"{top}/l") == long


def test_long_paths_and_long_targets(store, layout, mount):
    path = "/".join(["x" * 250] * 16)  # 4,015 bytes
    targets = {f"l{n}": "t" * n for n in (1, 59, 60, 3000, 4031, 4032, 4033, 4095)}
    top = mount(store.image(layout(layer(file(path, b"end"), *(symbolic_link(*link) for link in targets.items())))))
    folder = os.open(top, os.O_PATH)
    for part in path.split("/")[:-1]:
        above, folder = folder, os.open(part, os.O_PATH, dir_fd=folder)
        os.close(above)
    with open(os.open(path.split("/")[-1], os.O_RDONLY, dir_fd=folder), "rb") as last:
        assert last.read() == b"end"
    os.close(folder)
    for name, target in targets.items():
        assert os.readlink(f"{top}/{name}") == target


def test_large_directories(store, layout, mount):
    names = [f"{number:05}-{'y' * (number % 190)}" for number in range(20000)]
    top = mount(store.image(layout(layer(directory("d"), *(file(f"d/{name}", name.encode()) for name in names)))))
    assert sorted(os.listdir(f"{top}/d")) == names
    for name in names[::997]:
        assert read(top, "d", name) == name.encode()
    assert not os.path.exists(f"{top}/d/00001-z")


def test_links_count(store, layout, mount):
    top = mount(store.image(layout(layer(file("a", b"one"), hard_link("b", "./a"), hard_link("d/c", "a"),
                                         symbolic_link("s", "a"), hard_link("s2", "s"), directory("d/e")))))
    assert os.stat(f"{top}/a").st_nlink == 3 and os.stat(f"{top}/d").st_nlink in (1, 3)
    assert os.stat(f"{top}/d/c").st_ino == os.stat(f"{top}/a").st_ino
    assert os.lstat(f"{top}/s").st_nlink == 2 and os.readlink(f"{top}/s2") == "a"


def test_extended_attributes(store, layout, mount):
    def pax(**values):
        return {f"SCHILY.xattr.{name.replace('__', '.')}": value.decode("utf-8", "surrogateescape")
                for name, value in values.items()}

    top = mount(store.image(layout(layer(
        file("ping", b"x" * 3000, pax=pax(security__capability=CAPABILITY, user__note="grün".encode(), user__empty=b"")),
        directory("d", pax=pax(user__mark=b"1")), file("large", b"", pax=pax(user__large=b"v" * 60000)),
        file("ours", b"", pax=pax(trusted__overlay__redirect=b"/etc", trusted__overlay__opaque=b"y", trusted__t=b"t"))))))
    assert os.getxattr(f"{top}/ping", "security.capability") == CAPABILITY
    assert os.getxattr(f"{top}/ping", "user.note") == "grün".encode()
    assert os.getxattr(f"{top}/ping", "user.empty") == b""
    assert read(top, "ping") == b"x" * 3000
    assert os.getxattr(f"{top}/d", "user.mark") == b"1"
    assert os.getxattr(f"{top}/large", "user.large") == b"v" * 60000
    lower = os.path.join(os.path.dirname(top), "lower0")
    assert os.listxattr(f"{lower}/ours") == ["trusted.t"]


@pytest.mark.parametrize("format", ["gnu", "posix"])
def test_sparse_files(store, layout, mount, tmp_path, format):
    (tmp_path / "tree").mkdir()
    with open(tmp_path / "tree" / "sparse", "wb") as out:
        out.seek(300 << 20)
        out.write(b"in the middle")
        out.truncate(1 << 30)
    packed = subprocess.run(["tar", "--sparse", f"--format={format}", "-C", tmp_path / "tree", "-c", "sparse"],
                            check=True, capture_output=True).stdout
    image = store.image(layout(packed))
    top = mount(image)
    with open(f"{top}/sparse", "rb") as sparse:
        assert os.fstat(sparse.fileno()).st_size == 1 << 30
        sparse.seek((300 << 20) - 5)
        assert sparse.read(23) == bytes(5) + b"in the middle" + bytes(5)
        sparse.seek(-3, os.SEEK_END)
        assert sparse.read() == bytes(3)
    assert os.stat(store.layer_files(image)[0]).st_blocks * 512 < 8 << 20


def test_a_real_tree(store, layout, mount):
    """Some thousand files of this machine, as GNU tar packs them, against what Python's tarfile reads of the archive."""
    packed = subprocess.run(["tar", "--format=posix", "--numeric-owner", "-C", "/", "-c", "usr/lib/python3.11", "etc", "var/lib/dpkg"],
                            capture_output=True).stdout
    top, n_entries = mount(store.image(layout(packed))), 0
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for entry in archive:
            path = os.path.join(top, entry.name)
            status = os.lstat(path)
            assert stat.S_IMODE(status.st_mode) == entry.mode or entry.issym(), entry.name
            assert (status.st_uid, status.st_gid) == (entry.uid, entry.gid), entry.name
            assert entry.islnk() or abs(status.st_mtime - entry.mtime) < 1e-6, entry.name
            if entry.isreg():
                assert read(path) == archive.extractfile(entry).read(), entry.name
            elif entry.issym():
                assert os.readlink(path) == entry.linkname
            elif entry.islnk():
                assert status.st_ino == os.lstat(os.path.join(top, entry.linkname)).st_ino
            else:
                assert entry.isdir() and stat.S_ISDIR(status.st_mode)
            n_entries += 1
    assert n_entries > 1000 and len(names_below(top)) >= n_entries


# ---- layers over layers ----------------------------------------------------------------------------------------------

LOWER = layer(directory("etc"), file("etc/keep", b"1"), file("etc/gone", b"1"), directory("etc/folder"),
              file("etc/folder/below", b"1"), directory("opaque"), file("opaque/old", b"1"), directory("opaque/sub"),
              file("opaque/sub/old", b"1"), file("becomes-folder", b"1"), directory("becomes-file"),
              file("becomes-file/x"), file("hard-1", b"1"), hard_link("hard-2", "hard-1"), symbolic_link("way", "etc"))
UPPER = layer(file("etc/.wh.gone"), file("etc/.wh.folder"), file("opaque/.wh..wh..opq"), directory("opaque"),
              file("opaque/new", b"2"), directory("becomes-folder"), file("becomes-folder/in", b"2"),
              file("becomes-file", b"2"), file("hard-1", b"2"), file("etc/.wh.never-there"), file(".wh..wh.plnk/1.2"),
              directory("way"), file("way/real", b"2"))
TOP = layer(directory("etc/folder"), file("etc/folder/again", b"3"), directory("opaque/sub"),
            file("opaque/sub/new", b"3"), file("etc/keep", b"3"), file("once", b"3"))
EXPECTED = sorted([
    b"etc", b"etc/keep", b"etc/folder", b"etc/folder/again", b"opaque", b"opaque/new", b"opaque/sub",
    b"opaque/sub/new", b"becomes-folder", b"becomes-folder/in", b"becomes-file", b"hard-1", b"hard-2", b"way",
    b"way/real", b"once"])


def check_stacked(top):
    assert [name for name in names_below(top) if not name.startswith(b"filler")] == EXPECTED
    assert read(top, "etc/keep") == b"3" and read(top, "becomes-file") == b"2"
    assert read(top, "hard-1") == b"2" and read(top, "hard-2") == b"1"


def test_whiteouts_between_files_of_the_stack(store, layout, mount):
    image = store.image(layout(LOWER, UPPER, TOP))
    assert len(image["stack"]) == 3
    check_stacked(mount(image))


def filler(number):
    return layer(file(f"filler-{number}", b"f"))


@pytest.mark.parametrize("before", [0, 2, 3, 4, 5, 8])
def test_whiteouts_among_layers_that_became_one_file(store, layout, mount, before):
    """With `before` others first, the three are apart, half apart, or all in the last file."""
    image = store.image(layout(*map(filler, range(before)), LOWER, filler("a"), UPPER, filler("b"), TOP, filler("c")))
    assert len(image["stack"]) == 5
    assert sum(len(part["diffIds"]) for part in image["stack"]) == before + 6
    check_stacked(mount(image))


def test_a_whiteout_in_a_large_image_hides_what_is_below_the_last_file(store, layout, mount):
    image = store.image(layout(
        LOWER, filler(1), filler(2), filler(3), filler(4),
        layer(file(".wh.etc"), file(".wh.opaque"), file(".wh.way"), file(".wh.becomes-folder"), file(".wh.hard-1"),
              file(".wh.hard-2")),
        layer(directory("etc"), file("etc/new")), layer(file("becomes-file", b"now"), file("opaque", b"now")),
        layer(file(".wh.opaque"), directory("becomes-file")), layer(directory("opaque"), file("opaque/last"))))
    top = mount(image)
    assert [name for name in names_below(top) if not name.startswith(b"filler")] == [
        b"becomes-file", b"etc", b"etc/new", b"opaque", b"opaque/last"]


def test_order_within_a_layer_does_not_matter_to_its_whiteouts(store, layout, mount):
    first = layer(directory("d"), file("d/old"), file("f", b"old"))
    early = layer(file("d/.wh..wh..opq"), file(".wh.f"), directory("d"), file("d/new"), file("f", b"new"))
    late = layer(file("f", b"new"), directory("d"), file("d/new"), file("d/.wh..wh..opq"), file(".wh.f"))
    for number, upper in enumerate((early, late)):
        for more in ((), map(filler, range(5))):
            image = store.image(layout(first, *more, upper), f"image{number}")
    top = mount(image)
    assert sorted(name for name in os.listdir(top) if "filler" not in name) == ["d", "f"]
    assert os.listdir(f"{top}/d") == ["new"] and read(top, "f") == b"new"


def test_whiteouts_are_not_seen_in_a_folder_that_one_file_alone_has(store, layout, mount):
    top = mount(store.image(layout(layer(directory("d"), file("d/.wh.a"), file("d/b")), layer(file("c")))))
    assert os.listdir(f"{top}/d") == ["b"]


def test_a_device_0_0_is_a_whiteout(store, layout, mount):
    top = mount(store.image(layout(layer(file("a"), file("b")), layer(entry("a", CHARACTER)))))
    assert os.listdir(top) == ["b"]


def test_replaced_contents_take_no_room(store, layout):
    layers = [layer(file("same", os.urandom(4 << 20))) for _ in range(8)]
    last = store.layer_files(store.image(layout(*layers)))[-1]
    assert os.stat(last).st_blocks * 512 < 6 << 20


def test_empty_layers_take_no_place(store, layout, mount):
    image = store.image(layout(EMPTY, layer(file("a")), EMPTY, EMPTY, layer(file("b")), EMPTY, EMPTY))
    assert len(image["stack"]) == 2
    assert sorted(os.listdir(mount(image))) == ["a", "b"]


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: subprocess.run(
    ["zstd", "-c"], input=data, capture_output=True, check=True).stdout], ids=["gzip", "zstd"])
def test_compressed_layers(store, layout, mount, compress):
    data = os.urandom(1 << 20)
    top = mount(store.image(layout(layer(file("a", data)), layer(file("b", b"b")), compress=compress)))
    assert read(top, "a") == data and read(top, "b") == b"b"


def test_the_same_layer_makes_the_same_file(store, layout):
    data = layer(*(file(f"f{number}", b"x" * number) for number in range(3000)))
    path, = store.layer_files(store.image(layout(data)))
    first = read(path)
    os.unlink(path)
    store.image(layout(data, compress=gzip.compress))
    assert read(path) == first
