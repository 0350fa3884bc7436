"""Makes layers, OCI layouts and archives as `docker save` makes them, good ones and hostile ones, byte for byte as told."""

import gzip
import hashlib
import io
import json
import os
import tarfile

FILE, DIRECTORY, SYMBOLIC, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHARACTER, BLOCK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
EMPTY = bytes(1024)
OCI = "application/vnd.oci.image"


def entry(name, type=FILE, data=b"", pax=None, **attributes):
    """An entry for layer(). Names may be bytes."""
    info = tarfile.TarInfo(os.fsdecode(name))
    info.type, info.size, info.mode = type, len(data), 0o755 if type == DIRECTORY else 0o644
    for key, value in attributes.items():
        setattr(info, key, os.fsdecode(value) if key == "linkname" else value)
    info.pax_headers = dict(pax or {})
    return info, data


def file(name, data=b"", **attributes):
    return entry(name, FILE, data, **attributes)


def directory(name, **attributes):
    return entry(name, DIRECTORY, **attributes)


def symbolic_link(name, target):
    return entry(name, SYMBOLIC, linkname=target)


def hard_link(name, target):
    return entry(name, HARD, linkname=target)


def layer(*entries, format=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def configuration(layers, config=None, **changes):
    """The configuration of an image with these uncompressed layers."""
    return {"os": "linux", "architecture": "amd64", "created": "2024-01-02T03:04:05Z", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]}, **changes}


class Layout:
    """An OCI layout in a folder, with one image."""

    def __init__(self, folder, *layers, config=None, compress=None, image=None, edit=None):
        """`compress` makes a blob of a layer; `image` is the configuration, and `edit` changes the manifest."""
        self.folder = str(folder)
        os.makedirs(os.path.join(self.folder, "blobs", "sha256"), exist_ok=True)
        kind = {None: "", gzip.compress: "+gzip"}.get(compress, "+zstd")
        blobs = [self.blob(compress(data) if compress else data, f"{OCI}.layer.v1.tar{kind}") for data in layers]
        image = image if image is not None else configuration(layers, config)
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "layers": blobs,
                    "config": self.blob(json.dumps(image).encode(), f"{OCI}.config.v1+json")}
        if edit:
            edit(manifest)
        self.write("index.json", {"schemaVersion": 2, "manifests": [
            self.blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json")]})
        self.write("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def blob(self, data, media_type):
        name = digest(data)
        with open(os.path.join(self.folder, "blobs", *name.split(":")), "wb") as out:
            out.write(data)
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    def write(self, name, value):
        with open(os.path.join(self.folder, name), "w") as out:
            json.dump(value, out)

    def archive(self, path):
        with tarfile.open(path, "w") as archive:
            archive.add(self.folder, arcname=".")
        return str(path)


def docker_save(path, *layers, tags=("team/app:1.2",), config=None, mode="w"):
    """An archive as `docker save` made it before Docker 25."""
    image = json.dumps(configuration(layers, config)).encode()
    members = {f"{digest(image)[7:]}.json": image}
    members.update({f"{digest(data)[7:]}/layer.tar": data for data in layers})
    members["manifest.json"] = json.dumps([{
        "Config": f"{digest(image)[7:]}.json", "RepoTags": list(tags) or None,
        "Layers": [f"{digest(data)[7:]}/layer.tar" for data in layers]}]).encode()
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)
