"""What nobody may import: refused with the entry's name, and nothing of it is left."""

import gzip
import io
import json
import os
import struct
import subprocess
import tarfile
import time

import pytest

from archives import (CHARACTER, FILE, Layout, configuration, digest, directory, docker_save, entry, file, hard_link,
                      layer, symbolic_link)

ESCAPES = {
    "absolute": ([file("/etc/passwd")], "/etc/passwd is refused: it is absolute"),
    "dots": ([file("../out")], '../out is refused: it has ".." in it'),
    "dots inside": ([file("a/../../out")], 'a/../../out is refused: it has ".."'),
    "dots that stay inside": ([file("a/b/../c")], 'a/b/../c is refused: it has ".."'),
    "dots at the end": ([directory("a/..")], 'a/../ is refused: it has ".."'),
    "whiteout of the folder above": ([file("a/.wh...")], "a/.wh... is refused: it is a whiteout of nothing"),
    "whiteout of the folder": ([file("a/.wh..")], "a/.wh.. is refused: it is a whiteout of nothing"),
    "whiteout without a name": ([file(".wh.")], ".wh. is refused: it is a whiteout of nothing"),
    "file in a whiteout": ([file(".wh.a/b")], ".wh.a/b is refused: it lies in a whiteout"),
    "absolute whiteout": ([file("/.wh.etc")], "/.wh.etc is refused: it is absolute"),
    "hard link, absolute": ([hard_link("l", "/etc/shadow")], "l is refused: it is a hard link whose target is refused: it is abs"),
    "hard link, dots": ([hard_link("l", "../../etc/shadow")], "l is refused: it is a hard link whose target is refused"),
    "hard link to nothing": ([hard_link("l", "etc/shadow")], "l is refused: it is a hard link to what its layer does not have"),
    "hard link to what comes later": ([hard_link("l", "a"), file("a")], "l is refused: it is a hard link to what"),
    "hard link through a symbolic one": ([symbolic_link("s", "/"), hard_link("l", "s/etc")], "l is refused: it is a hard link"),
    "hard link to a whiteout": ([file(".wh.w"), hard_link("l", "w")], "l is refused: it is a hard link to what"),
    "hard link to a folder": ([directory("d"), hard_link("l", "d")], "l is refused: it is a hard link to a directory"),
    "symbolic link": ([symbolic_link("a/l", "../../etc/shadow")], "a/l is refused: it is a symbolic link out of the image"),
    "symbolic link and back": ([symbolic_link("l", "a/../../image/b")], "l is refused: it is a symbolic link out"),
    "through a symbolic link": ([symbolic_link("s", "/etc"), file("s/passwd")],
                                "s/passwd is refused: it goes through s, which is a symbolic link"),
    "through a relative one": ([directory("d"), symbolic_link("s", "d"), file("s/x/y")], "s/x/y is refused: it goes through s"),
    "through a file": ([file("f"), file("f/x")], "f/x is refused: it goes through f, which is no directory"),
    "through a device": ([entry("c", CHARACTER, devmajor=1, devminor=3), file("c/x")], "c/x is refused: it goes through c"),
    "full folder becomes a file": ([file("d/x"), file("d")], "d is refused: it would replace a directory"),
    "full folder becomes a link": ([file("d/x"), symbolic_link("d", "/etc")], "d is refused: it would replace a directory"),
    "root becomes a link": ([symbolic_link(".", "/etc")], ". is refused: the root must be a directory"),
    "root becomes a whiteout": ([entry(".", CHARACTER)], ". is refused: it is a whiteout of everything"),
    "name too long": ([file("n" * 256)], "nnn... is refused: a part of it is longer than 255 bytes"),
    "path too long": ([file("/".join(["p" * 200] * 21))], "is refused: it is longer than 4095 bytes"),
    "target too long": ([symbolic_link("l", "t" * 4096)], "l is refused: it is a symbolic link to nothing, or"),
    "user": ([file("u", pax={"uid": str(2 ** 32)})], "u is refused: its owner is no number of 32 bits"),
    "attribute": ([file("x", pax={"SCHILY.xattr.user.a": "v" * 65536})], "x is refused: its extended attributes are larger"),
    "attributes": ([file("x", pax={f"SCHILY.xattr.user.{n}": "v" * 30000 for n in range(3)})], "x is refused: its extended"),
    "terminal": ([file("\x1b]0;owned\x07\n/../x")], r"\x1b]0;owned\x07\x0a/../x is refused"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_entry_is_refused_by_name(store, layout, name):
    entries, expected = ESCAPES[name]
    said = store.refuse(layout(layer(file("innocent", b"x" * 9000), *entries, file("after"))))
    assert expected in said and "\nhearth: layer 1: the entry " in said, said
    assert store.files() == []


def test_the_second_layer_is_named(store, layout):
    store.image(layout(layer(file("good"))), "good")
    said = store.run("import", layout(layer(file("first")), layer(file("../x")))).stderr
    assert 'layer 2: the entry ../x is refused: it has ".."' in said
    assert [image["name"] for image in store.list()] == ["good:latest"]


@pytest.mark.parametrize("where", ["from the bottom", "in the last file"])
def test_names_meet_links_of_lower_layers_harmlessly(store, layout, mount, where):
    """A folder that a lower layer has as a link becomes a folder: no layer writes through it."""
    fillers = [layer(file(f"f{number}")) for number in range(0 if where == "from the bottom" else 5)]
    top = mount(store.image(layout(*fillers, layer(symbolic_link("s", "/etc")), layer(file("s/passwd", b"x")),
                                   *[layer(file("g"))] * (0 if not fillers else 1))))
    assert os.path.isdir(f"{top}/s") and not os.path.islink(f"{top}/s") and os.listdir(f"{top}/s") == ["passwd"]


# ---- bombs -----------------------------------------------------------------------------------------------------------

def test_too_many_entries(store, layout):
    folder = layout(layer(*(file(f"f{number}") for number in range(60))), layer(*(file(f"g{number}") for number in range(60))))
    said = store.refuse(folder, "--max-entries", "100")
    assert "layer 2: the entry g40 is refused: with it the image has more than 100 entries" in said
    store.image(folder, "--max-entries", "120")


def test_a_million_names_of_one_file(store, layout):
    folder = layout(layer(file("a"), *(hard_link(f"d/{number}", "a") for number in range(5000))))
    assert "the entry d/998 is refused" in store.refuse(folder, "--max-entries", "1000"), "d counts, too"


def test_folders_that_nobody_named_count_as_entries(store, layout):
    """A short archive may imply two thousand with each entry."""
    folder = layout(layer(*(file(f"{number}/{'a/' * 2000}f") for number in range(300))), compress=gzip.compress)
    assert "with it the image has more than 300 entries" in store.refuse(folder, "--max-entries", "300")


def test_attributes_are_all_in_memory(store, layout):
    entries = (file(f"f{number}", pax={"SCHILY.xattr.user.a": "v" * 60000}) for number in range(4500))
    said = store.refuse(layout(layer(*entries), compress=gzip.compress))
    assert "f4473 is refused: with it the image's extended attributes have more than 256 MiB" in said, said


def test_whiteouts_of_everything_again_and_again(store, layout):
    """Whatever there was below is gone after the first one."""
    n = 30000
    began = time.monotonic()
    store.image(layout(layer(*(file(f"d/{number}") for number in range(n)), *(file("d/.wh..wh..opq") for _ in range(n)))))
    assert time.monotonic() - began < 10, "it takes as long as their product"


def test_too_large(store, layout):
    zeros = layer(file("small"), file("zeros", bytes(3 << 20)))
    folder = layout(zeros, layer(file("more", bytes(3 << 20))), compress=gzip.compress)
    assert "layer 1: the entry zeros is refused: with it the image has more than 2 MiB" in store.refuse(folder, "--max-size", 2)
    said = store.run("import", folder, "--max-size", 5).stderr
    assert "layer 2: the entry more is refused: with it the image has more than 5 MiB" in said
    store.image(folder, "--max-size", 7)


def test_a_file_of_holes_that_is_too_large(store, layout, tmp_path):
    with open(tmp_path / "holes", "wb") as holes:
        holes.truncate(8 << 40)
    packed = subprocess.run(["tar", "--sparse", "-C", tmp_path, "-c", "holes"], check=True, capture_output=True).stdout
    assert "the entry holes is refused: with it the image has more than 16384 MiB" in store.refuse(layout(packed))


def test_a_size_that_is_not_there(store, layout):
    data = bytearray(layer(file("liar", b"x" * 100)))
    for size in (b"77777777777\0", b"\x80" + struct.pack(">QQ", 0, 2 ** 62)[5:], b"\xff" * 12):
        data[124:136] = size
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        said = store.refuse(layout(bytes(data)))
        assert "liar is refused" in said or "layer 1: it is damaged" in said, said


def test_what_follows_the_archive_counts(store, layout):
    folder = layout(layer(file("a")) + bytes(5 << 20), compress=gzip.compress)
    assert "layer 1: with it the image has more than 1 MiB" in store.refuse(folder, "--max-size", 1, "--max-entries", 1000)
    store.image(folder)


def test_extended_attributes_count(store, layout):
    folder = layout(layer(*(file(f"f{n}", pax={"SCHILY.xattr.user.a": "v" * 60000}) for n in range(40))))
    assert "the entry f17 is refused: with it the image has more than 1 MiB" in store.refuse(folder, "--max-size", 1)


def test_a_compressed_archive_of_an_archive_that_is_too_large(store, tmp_path):
    saved = docker_save(tmp_path / "app.tar.gz", layer(file("zeros", bytes(64 << 20))), mode="w:gz")
    result = store.run("import", saved, "--max-size", 1, "--max-entries", 10)
    assert result.returncode != 0 and store.files() == []


def compress_layers(path):
    """Each layer of an archive that `docker save` made by itself."""
    with tarfile.open(path) as before:
        members = {member.name: before.extractfile(member).read() for member in before}
    with tarfile.open(path, "w") as after:
        for name, data in members.items():
            data = data if name.endswith(".json") else gzip.compress(data)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            after.addfile(member, io.BytesIO(data))


def test_layers_that_are_small_only_in_the_archive(store, tmp_path):
    """skopeo uncompresses them: the disk must not be full before anybody counts."""
    saved = docker_save(tmp_path / "app.tar", *(layer(file(f"zeros{number}", bytes(4 << 20))) for number in range(60)))
    compress_layers(saved)
    process = store.start("import", saved, "--max-size", 5, "--max-entries", 10)
    most = 0
    while process.poll() is None:
        sizes = subprocess.run(["du", "-sk", store.folder], capture_output=True, text=True).stdout.split()
        most = max(most, int(sizes[0])) if sizes else most  # it may not be there yet
    assert process.returncode == 2 and "--max-size allows more" in process.stderr.read()
    assert most < 100 << 10, f"{most} KiB of 240 MiB"


@pytest.mark.parametrize("transport", ["", "oci-archive:"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("is_symbolic", [True, False])
def test_an_archive_is_unpacked_nowhere(store, tmp_path, transport, mode, is_symbolic):
    """An OCI layout in an archive, and links out of wherever somebody may unpack it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("good")
    way = tarfile.TarInfo("blobs/sha256" if is_symbolic else "index.json")
    way.type, way.linkname = (tarfile.SYMTYPE, str(outside)) if is_symbolic else (tarfile.LNKTYPE, "../" * 20 + str(outside / "victim"))
    with tarfile.open(tmp_path / "app.tar", mode) as archive:
        archive.addfile(way)
        for name in ("blobs/sha256/new", "blobs/sha256/victim", "way/../../new"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        archive.add(Layout(tmp_path / "layout", GOOD).folder, arcname=".")
    store.image(f"{transport}{tmp_path / 'app.tar'}", "app:1")
    assert os.listdir(outside) == ["victim"] and (outside / "victim").read_text() == "good"


# ---- damage ----------------------------------------------------------------------------------------------------------

def test_damaged_layers(store, layout):
    good = layer(file("a", b"x" * 20000), file("b", b"y" * 20000))
    cases = {"cut off": (good[:30000], "layer 1: "), "cut off in a header": (good[:700], "layer 1: "),
             "nonsense": (os.urandom(20000), "layer 1: it is damaged"),
             "a header's sum": (good[:20992] + b"\1" + good[20993:], "layer 1: "),
             "nothing": (b"", "layer 1: it cannot be read")}
    for name, (data, expected) in cases.items():
        said = store.refuse(layout(data))
        assert expected in said, (name, said)


def test_damaged_compression(store, layout):
    data = layer(file("a", os.urandom(200000)))
    whole = gzip.compress(data)
    for damaged, expected in ((whole[:-5000], "the entry a is refused: it is damaged"),
                              (whole[:5000] + bytes(5000) + whole[10000:], "layer 1: ")):
        said = store.refuse(layout(data, compress=lambda _, damaged=damaged: damaged))
        assert expected in said and store.files() == [], said


def test_a_layer_that_is_another(store, layout):
    said = store.refuse(layout(layer(file("a")), image=configuration([layer(file("b"))])))
    assert "layer 1: its contents are not what the image's configuration says" in said


@pytest.mark.parametrize("keyword, value", [
    ("path", ""), ("size", "-1"), ("size", "99999999999999999999"), ("mtime", "x"), ("linkpath", "\udcff"),
    ("SCHILY.xattr.", "x"), ("SCHILY.xattr.user.a", ""), ("GNU.sparse.map", "1,2,3"), ("GNU.sparse.size", "-5"),
    ("GNU.sparse.major", "1"), ("SCHILY.dev", "9" * 30), ("hdrcharset", "x")])
def test_strange_pax_headers_end_in_order(store, layout, keyword, value):
    data = bytearray(layer(file("a", b"x" * 600, pax={keyword: value})))
    result = store.run("import", layout(bytes(data)))
    assert result.returncode in (0, 2), (result.returncode, result.stderr)


# ---- what an image says of itself ------------------------------------------------------------------------------------

GOOD = layer(file("a"))
CONFIGURATIONS = {
    "other processor": (configuration([GOOD], architecture="arm64"), "linux on arm64"),
    "other system": (configuration([GOOD], os="windows"), "windows on amd64"),
    "no processor": ({"rootfs": {"diff_ids": [digest(GOOD)]}}, ""),
    "more layers": (configuration([GOOD, GOOD]), "has 1 layers and its configuration 2"),
    "no layers": (configuration([]), "has 1 layers and its configuration 0"),
    "a path as digest": ({**configuration([]), "rootfs": {"diff_ids": ["sha256:" + "../" * 21 + "x"]}}, "no diff_id by SHA-256"),
    "another digest": ({**configuration([]), "rootfs": {"diff_ids": ["sha512:" + "0" * 128]}}, "no diff_id by SHA-256"),
    "environment": (configuration([GOOD], {"Env": {"A": "b"}}), "something strange as Env"),
    "command": (configuration([GOOD], {"Cmd": ["a", 5]}), "something strange as Cmd"),
    "user": (configuration([GOOD], {"User": 0}), "something strange as User"),
    "ports": (configuration([GOOD], {"ExposedPorts": ["80"]}), "something strange as ExposedPorts"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_is_refused(store, layout, name):
    image, expected = CONFIGURATIONS[name]
    result = store.run("import", layout(GOOD, image=image))
    assert result.returncode in (2, 3) and expected in result.stderr and store.files() == [], result.stderr


def test_too_many_layers(store, layout):
    layers = [layer(file(f"f{number}")) for number in range(129)]
    assert "the image has 129 layers: 1 to 128 can be imported" in store.refuse(layout(*layers))
    assert len(store.image(layout(*layers[:128]))["stack"]) == 5


def test_a_layer_outside_the_layout(store, layout, tmp_path):
    def leave(manifest):
        manifest["layers"][0]["digest"] = "sha256:" + "../../../../etc/passwd".rjust(64, "/")

    result = store.run("import", layout(GOOD, edit=leave))
    assert result.returncode != 0 and store.files() == []


def test_a_blob_that_was_changed(store, tmp_path):
    made = Layout(tmp_path / "layout", GOOD)
    with open(f"{made.folder}/blobs/sha256/{digest(GOOD)[7:]}", "r+b") as blob:
        blob.write(b"z")
    result = store.run("import", made.folder)
    assert result.returncode == 3 and "skopeo cannot get the image" in result.stderr and store.files() == []


def test_nonsense_as_source(store, tmp_path):
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "folder").mkdir()
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    (tmp_path / "a:b.tar").write_bytes(b"")
    for source, status, expected in (
            (tmp_path / "text", 2, "is no archive of an image"), (tmp_path / "plain.tar", 2, "is no archive of an image"),
            (tmp_path / "folder", 2, "has no file oci-layout"), (tmp_path / "missing", 4, "there is no "),
            ("bad name", 2, "cannot be an image's name"), ("-x", 2, "there is no option"), ("docker://a//b", 2, "cannot be an"),
            ("docker://../x", 2, "cannot be an image's name"), ("x" * 300, 2, "cannot be an image's name"),
            ("oci:" + str(tmp_path / "folder"), 3, "skopeo cannot get the image")):
        result = store.run("import", source)
        assert result.returncode == status and expected in result.stderr, (source, result.stderr)
    for name in ("../../etc/passwd", "a/../b", "/etc", "a b", "", "a\n", "é", "a//b"):
        result = store.run("rm", name)
        assert result.returncode == 2, (name, result.stderr)
    assert store.files() == []


def test_who_reads_layers_has_given_up_the_rest(store, tmp_path):
    """What that means is in tests/unit/test_image_confine.c."""
    content = layer(*(file(f"f{number}", bytes(1 << 20)) for number in range(40)))
    process = store.start("import", Layout(tmp_path / "layout", content).folder, "large")
    for line in process.stderr:
        if "layer 1 of 1: " in line:
            break
    with open(f"/proc/{process.pid}/status") as status:  # of one that has ended, too, as long as nobody asked for its end
        assert "\nNoNewPrivs:\t1\n" in status.read()
    assert process.communicate()[1] == "" and process.returncode == 0
