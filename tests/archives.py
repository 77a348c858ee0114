"""Archives made by the tests, and a look at what became of them."""

import io
import os
import tarfile
import zipfile


def make_tar(*members):
    """Bytes of a .tar.gz of (name, content) pairs and `TarInfo`s, also (TarInfo, content)."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w:gz", compresslevel=1, format=tarfile.GNU_FORMAT
    ) as archive:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(*members):
    """Bytes of a .zip of (name or ZipInfo, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("x")
            info.filename = getattr(name, "filename", name)  # ZipInfo(name) would tidy it
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tree(folder):
    """Everything below a folder: path -> content, None for a folder, or where a link leads."""
    return {
        str(path.relative_to(folder)): f"-> {os.readlink(path)}"
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


def files(folder):
    return {name: content for name, content in tree(folder).items() if content is not None}
