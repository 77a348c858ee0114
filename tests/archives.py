"""Archives made by the tests, and a look at what became of them."""

import io
import os
import tarfile
import zipfile


def make_tar(*members):
    """Bytes of a .tar.gz of (name, content) pairs and `TarInfo`s."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            name, content = member if isinstance(member, tuple) else (member, b"")
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(*members):
    """Bytes of a .zip of (name, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # ZipInfo(name) would tidy it
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tree(folder):
    """Everything below a folder: path -> content, None for a folder, or where a link leads."""
    entries = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        link = f"-> {os.readlink(path)}" if path.is_symlink() else content
        entries[str(path.relative_to(folder))] = link
    return entries


def files(folder):
    return {name: content for name, content in tree(folder).items() if content is not None}
