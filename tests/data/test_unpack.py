"""Archives made to do harm, and damaged ones: all or nothing, and never outside the folder."""

import contextlib
import gzip
import pickle
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import namedtuple

import pytest
from archives import files, make_tar, make_zip, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from vadlib.data import download
from vadlib.data.download import unpack
from vadlib.errors import InputError

PAGE = b"<!DOCTYPE html><html>Moved</html>"


def link(name, to, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def special(name, kind):
    return link(name, "", kind)


def in_zip(name, mode):
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    return member


def patched(data, *changes):
    """Bytes with each `old` replaced by the `new` of its length, wherever it is."""
    for old, new in changes:
        assert old in data
        assert len(old) == len(new)
        data = data.replace(old, new)
    return data


def gz(data):
    return gzip.compress(data, 1, mtime=0)


OUT = [
    "../x",
    "/abs",
    "C:\\x",
    "C:x",
    "C:/x",
    "a/../../x",
    "a/../x",
    "a\\..\\..\\x",
    "..",
    "a/.. /x",
    "a/... /x",
    "\\\\host\\share\\x",
]
OUT += ["//host/share/x", "./../x", "\\x", "a\\x"]
FINE = ("a/fine", b"fine")
BIG = bytes(2_000_000)
SMALL_TAR = make_tar(
    ("a/b", b"content of b"),
    ("a/c", b"content of c" * 40),
    special("a/d", tarfile.DIRTYPE),
    ("a/e", b""),
)
SMALL_ZIP = make_zip(("a/b", b"content of b"), ("a/c", b"content of c" * 40), ("a/d/", b""))
LIED = make_zip(("a/b", BIG))
RAW = gzip.decompress(SMALL_TAR)
SIZE = struct.pack("<L", len(BIG))
HOSTILE = {
    **{f"tar {name}": make_tar(FINE, (name, b"evil")) for name in OUT},
    **{f"zip {name}": make_zip(FINE, (name, b"evil")) for name in OUT},
    **{
        f"tar folder {name}": make_tar(FINE, special(name, tarfile.DIRTYPE))
        for name in ("../x", "/abs")
    },
    **{f"zip folder {name}": make_zip(FINE, (name, b"")) for name in ("../x/", "/abs/")},
    "link out": make_tar(FINE, link("a/l", "../../x")),
    "link out in two steps": make_tar(FINE, link("a/l", "../b/../../x")),
    "link to the folder above": make_tar(FINE, link("l", "..")),
    "link to an absolute path": make_tar(FINE, link("a/l", "/etc/passwd")),
    "link to a drive": make_tar(FINE, link("a/l", "C:\\x")),
    "link, and a file through it": make_tar(link("a/l", "."), ("a/l/x", b"evil")),
    "link out, and a file through it": make_tar(link("a/l", ".."), ("a/l/../../x", b"evil")),
    "file through a link that comes later": make_tar(("a/l/x", b"evil"), link("a/l", ".")),
    "file in place of a link": make_tar(link("a/l", "fine"), FINE, ("a/l", b"evil")),
    "link in place of a link": make_tar(link("a/l", "fine"), link("a/l", "x")),
    "links that lead out together": make_tar(
        link("a/b/up", "../."), link("a/c", "b/up/../../x"), FINE
    ),
    "hard link out": make_tar(FINE, link("a/l", "../victim", tarfile.LNKTYPE)),
    "hard link to an absolute path": make_tar(FINE, link("a/l", "/etc/passwd", tarfile.LNKTYPE)),
    "hard link to a link": make_tar(
        FINE, link("a/b/s", "../x"), link("h", "a/b/s", tarfile.LNKTYPE)
    ),
    "hard link to nothing": make_tar(FINE, link("a/l", "a/nothing", tarfile.LNKTYPE)),
    "hard link to itself": make_tar(FINE, link("a/l", "a/l", tarfile.LNKTYPE)),
    "character device": make_tar(FINE, special("a/null", tarfile.CHRTYPE)),
    "block device": make_tar(FINE, special("a/sda", tarfile.BLKTYPE)),
    "fifo": make_tar(FINE, special("a/pipe", tarfile.FIFOTYPE)),
    "file below a file": make_tar(FINE, ("a/fine/x", b"evil")),
    "file named .": make_tar(FINE, (".", b"evil")),
    "tar too large": make_tar(FINE, ("a/big", BIG)),
    "tar too large in sum": make_tar(*((f"a/{i}", BIG[:400_000]) for i in range(3))),
    "tar of too many": make_tar(*((f"a/{i}", b"") for i in range(60))),
    "zip link": make_zip(FINE, (in_zip("a/l", stat.S_IFLNK | 0o777), b"../../x")),
    "zip fifo": make_zip(FINE, (in_zip("a/l", stat.S_IFIFO | 0o777), b"")),
    "zip device": make_zip(FINE, (in_zip("a/l", stat.S_IFCHR | 0o777), b"")),
    "zip too large": make_zip(FINE, ("a/big", BIG)),
    "zip that declares less than it holds": patched(LIED, (SIZE, struct.pack("<L", 10))),
    "zip of too many": make_zip(*((f"a/{i}", b"") for i in range(60))),
    "zip encrypted": patched(
        SMALL_ZIP,
        (b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0"),
        (b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
    ),
    "zip with a wrong checksum": patched(
        SMALL_ZIP, (struct.pack("<L", zlib.crc32(b"content of b")), b"\0\0\0\0")
    ),
    "zip with a file named .": make_zip(FINE, (".", b"evil")),
    "zip of an unknown method": patched(SMALL_ZIP, (b"\0\0\x08\0", b"\0\0\x63\0")),
    "tar with a wrong checksum": SMALL_TAR[:-8] + bytes(4) + SMALL_TAR[-4:],
    "plain tar": RAW,
    "gzip of nothing": gz(b""),
    "pickle": pickle.dumps({"a": [1, 2, 3]}),
    "web page": PAGE,
    "empty file": b"",
    "one byte": b"\x1f",
    "rar": b"Rar!\x1a\x07\x01\0" + bytes(100),
    "text before a zip": b"#!/bin/sh\n" + SMALL_ZIP,
}


@pytest.fixture
def box(tmp_path, monkeypatch):
    """(content, makes="a", limit=1 MB) -> runs `unpack` into a folder that has a file of the
    user's, two folders deep in a watched tree.
    """
    folder = tmp_path / "out" / "folder"
    folder.mkdir(parents=True)
    (folder / "mine").write_bytes(b"mine")
    (tmp_path / "out" / "victim").write_bytes(b"victim")
    monkeypatch.setattr(download, "MAX_MEMBERS", 50)

    def run(content, makes="a", limit=1_000_000):
        (tmp_path / "archive").write_bytes(content)
        return unpack(tmp_path / "archive", folder, makes, limit)

    run.folder, run.watched = folder, tmp_path
    return run


def is_refused(box, content, code="damaged-file", file=None, **options):
    """The message, of one line, that names the archive; `file` is the archive unless another is
    given.
    """
    archive = box.watched / "archive"
    archive.write_bytes(content)
    before = tree(box.watched)
    with refused(code, file=file or archive) as caught:
        box(content, **options)
    assert tree(box.watched) == before
    message = str(caught.error)
    assert "\n" not in message
    assert message.startswith(f"{archive}: ")
    assert ": ;" not in message  # some of Python's exceptions say nothing
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_damaged_archive_is_refused_and_nothing_is_written(box, name):
    is_refused(box, HOSTILE[name])


def written_by_python(content, folder):
    """What Python's own unpacking makes of an archive, file by file."""
    (folder / "archive").write_bytes(content)
    kind = (
        {"format": "gztar", "filter": "data"} if content[:2] == b"\x1f\x8b" else {"format": "zip"}
    )
    shutil.unpack_archive(folder / "archive", folder / "truth", **kind)
    return tree(folder / "truth")


@pytest.mark.parametrize("content", [SMALL_TAR, SMALL_ZIP], ids=["tar", "zip"])
def test_a_sound_archive_becomes_what_python_makes_of_it(box, tmp_path, content):
    assert box(content) in (3, 4)
    assert tree(box.folder) == {**written_by_python(content, tmp_path), "mine": b"mine"}


@pytest.mark.parametrize("content", [SMALL_TAR, SMALL_ZIP], ids=["tar", "zip"])
def test_an_archive_cut_anywhere_is_refused(box, content):
    for length in range(len(content)):
        is_refused(box, content[:length])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text("./\\:aC \u00e9", min_size=1, max_size=9), min_size=1, max_size=3, unique=True
    ),
    pack=st.sampled_from([make_tar, make_zip]),
)
def test_no_name_leads_out(box, names, pack):
    outside = {
        name: content
        for name, content in tree(box.watched).items()
        if not name.startswith("out/folder") and name != "archive"
    }
    with contextlib.suppress(InputError):
        box(pack(*((name, b"evil") for name in names)))
    after = tree(box.watched)
    assert {
        name: content
        for name, content in after.items()
        if not name.startswith("out/folder") and name != "archive"
    } == outside
    assert after["out/folder/mine"] == b"mine"
    for path in set(box.folder.iterdir()) - {box.folder / "mine"}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_nothing_that_is_there_is_overwritten(box, pack):
    assert files(box.folder) == {"mine": b"mine"}
    is_refused(box, pack(("mine", b"evil")), "already-exists", box.folder / "mine", makes="mine")
    (box.folder / "a").mkdir()
    (box.folder / "a" / "b").write_bytes(b"old")
    is_refused(box, pack(("a/b", b"new")), "already-exists", box.folder / "a")


@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_only_the_expected_folder_is_taken(box, pack):
    box(pack(("a/b", b"b"), ("__MACOSX/x", b"junk"), ("mine", b"evil")))
    assert files(box.folder) == {"a/b": b"b", "mine": b"mine"}
    message = is_refused(box, pack(("d/b", b"b"), ("a/c", b"c")), makes="c")
    assert "'c'" in message
    assert "'a', 'd'" in message


def test_a_missing_archive_or_a_full_disk_is_one_error(box, monkeypatch):
    with refused("missing-file", file=box.watched / "none"):
        unpack(box.watched / "none", box.folder, "a", 1000)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda folder: namedtuple("usage", "total used free")(10**12, 10**12, 100),
    )
    is_refused(box, SMALL_TAR, "disk-full", box.folder)
