"""Downloads from a real server that fails in every way: a half or damaged file never counts, and
nothing is lost.
"""

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import servers
from archives import files, make_tar, make_zip, tree
from refusals import refused
from servers import FILES, HALF, NAME, PAYLOAD, sends, status, well

from vadlib.data import download
from vadlib.data.download import ARCHIVES, Archive, download_dataset
from vadlib.errors import InputError

FLIPPED = PAYLOAD[:HALF] + bytes([PAYLOAD[HALF] ^ 1]) + PAYLOAD[HALF + 1 :]


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def host(host, monkeypatch):
    """It has the archive of "ped2"."""
    monkeypatch.setitem(
        ARCHIVES, "ped2", [Archive(f"{host.url}/{NAME}", sha256(PAYLOAD), "tiny.v1")]
    )
    return host


def fetch(root, **options):
    return download_dataset("ped2", root, progress=False, **options)


def fails(root, code, file=None, **options):
    """The message, which is one line; and nothing was made in root."""
    with refused(code, file=file) as caught:
        fetch(root, **options)
    assert "\n" not in str(caught.error)
    assert not root.exists() or tree(root) == {}
    return str(caught.error)


def arrives(tmp_path):
    fetch(tmp_path / "root")
    assert files(tmp_path / "root") == FILES
    assert tree(tmp_path / "cache" / "downloads") == {NAME: PAYLOAD}


def test_a_dataset_is_downloaded_verified_and_unpacked_once(host, cache, tmp_path, capsys):
    lines = download_dataset("ped2", tmp_path / "root", progress=True)
    assert f"{NAME}: 100%" in capsys.readouterr().err
    arrives(tmp_path)
    assert str(tmp_path / "root" / "tiny.v1") in lines[0]
    assert host.asked == [(f"/{NAME}", None)]


PAGE = sends(b"<!DOCTYPE html>Moved", Content_Type="text/html; charset=utf-8")
# Name -> the answer, and what the message holds of it: a number, or the words of another program.
FAILURES = {
    "drops": (servers.drops, str(HALF)),
    "drops without a length": (sends(PAYLOAD[:HALF], length=None), "SHA256"),
    "stalls": (servers.stalls, "timed out"),
    "one bit flipped": (sends(FLIPPED), "SHA256"),
    "404": (status(404), "404"),
    "web page": (PAGE, ""),
    "no web server": (lambda request, host: request.wfile.write(b"220 ready\r\n"), "220 ready"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_server_is_one_error_and_leaves_nothing(host, cache, tmp_path, failure):
    answer, detail = FAILURES[failure]
    host.answers = [answer]
    path = cache / "downloads" / NAME
    message = fails(tmp_path / "root", "download", file=path)
    for part in (f"{host.url}/{NAME}", detail, "--mirror", str(path)):
        assert part in message
    assert not path.exists()
    assert sum(path == f"/{NAME}" for path, _ in host.asked) >= 3  # it was tried again, and again
    host.answers = [well]
    arrives(tmp_path)


REPAIRS = [("drops", sends(PAYLOAD))]
REPAIRS += [("drops", sends(PAYLOAD, Content_Encoding="x-gzip"))]
REPAIRS += [(failure, well) for failure in ("drops", "stalls", "one bit flipped", "web page")]


@pytest.mark.parametrize(("failure", "then"), REPAIRS)
def test_one_failure_is_repaired_by_the_next_try(host, cache, tmp_path, failure, then):
    host.answers = [FAILURES[failure][0], then]
    arrives(tmp_path)
    assert len(host.asked) == 2


@pytest.mark.parametrize("name", [NAME, f".{NAME}.part"], ids=["whole", "part"])
@pytest.mark.parametrize("content", [PAYLOAD, FLIPPED, PAYLOAD + b"more", b"x" * HALF])
def test_only_a_sound_file_in_the_cache_counts(host, cache, tmp_path, name, content):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / name).write_bytes(content)
    arrives(tmp_path)
    assert (host.asked == []) == (content == PAYLOAD and name == NAME)


def test_a_mirror_is_asked_instead_and_verified(host, cache, tmp_path):
    assert "ftp://x" in fails(tmp_path / "root", "download", mirror="ftp://x")
    host.answers, mirror = [sends(FLIPPED), well], f"{host.url}/data/"
    fetch(tmp_path / "root", mirror=mirror)
    assert {path for path, _ in host.asked} == {f"/data/{NAME}"}
    assert files(tmp_path / "root") == FILES


def test_no_room_and_no_folder_are_one_error(host, cache, tmp_path, monkeypatch):
    usage = SimpleNamespace(total=10**12, used=10**12, free=len(PAYLOAD))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage)
        fails(tmp_path / "root", "disk-full", file=cache / "downloads" / NAME)
    assert tree(cache / "downloads") == {}
    assert len(host.asked) == 1  # room does not come by trying again
    shutil.rmtree(cache)
    cache.write_bytes(b"")
    fails(tmp_path / "root", "not-writable", file=cache / "downloads" / NAME)
    cache.unlink()
    (tmp_path / "root").write_bytes(b"mine")
    with refused("not-writable", file=tmp_path / "root"):
        fetch(tmp_path / "root")
    assert (tmp_path / "root").read_bytes() == b"mine"


def test_an_interrupted_unpacking_leaves_nothing(host, cache, tmp_path, monkeypatch):
    for error in (KeyboardInterrupt(), OSError("disk on fire")):
        with monkeypatch.context() as patch:
            patch.setattr(tarfile.TarFile, "makefile", Mock(side_effect=[None, None, error]))
            with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
                fetch(tmp_path / "root")
        assert tree(tmp_path / "root") == {}
    arrives(tmp_path)


# A process that gets a dataset; with "unpack" it stops for ever after the first member.
STUCK = """
    import sys, tarfile, time
    from pathlib import Path
    from vadlib.data.download import ARCHIVES, Archive, download_dataset

    def stuck(*args, original=tarfile.TarFile.makefile):
        original(*args)
        Path(sys.argv[4]).touch()
        time.sleep(600)

    if sys.argv[5] == "unpack":
        tarfile.TarFile.makefile = stuck
    ARCHIVES["ped2"] = [Archive(sys.argv[1], sys.argv[2], "tiny.v1")]
    download_dataset("ped2", Path(sys.argv[3]), progress=False)
"""


@pytest.mark.parametrize("step", ["unpack", "download"])
def test_a_kill_leaves_no_dataset_and_loses_nothing(host, cache, tmp_path, step):
    root, sign = tmp_path / "root", tmp_path / "sign"
    part = cache / "downloads" / f".{NAME}.part"
    if step == "download":
        host.answers = [servers.stalls, well]
    archive = ARCHIVES["ped2"][0]
    words = [archive.url, archive.sha256, str(root), str(sign), step]
    command = [sys.executable, "-c", textwrap.dedent(STUCK), *words]
    process, end = subprocess.Popen(command, stderr=subprocess.DEVNULL), time.monotonic() + 60
    while not (sign.exists() or (part.exists() and HALF - part.stat().st_size < 2**16)):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not (root / "tiny.v1").exists()
    fetch(root)
    assert files(root) == FILES
    assert [path.name for path in root.iterdir()] == ["tiny.v1"]
    if step == "download":
        assert re.fullmatch(r"bytes=\d{5,}-", host.asked[1][1])


LINK = tarfile.TarInfo("a/link")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "../../x"
HOSTILE = [(make_tar, "../x"), (make_tar, "/abs"), (make_tar, "a/../../x"), (make_tar, LINK)]
HOSTILE += [(make_zip, "../x"), (make_zip, "/abs"), (make_zip, "a/../../x")]


@pytest.mark.parametrize(("pack", "name"), HOSTILE)
def test_no_member_is_written_outside(tmp_path, pack, name):
    """Even if someone pins the SHA-256 of a hostile archive."""
    root = tmp_path / "out" / "root"
    path = tmp_path / ("archive.zip" if pack is make_zip else "archive.tar.gz")
    path.write_bytes(pack(("a/fine", b"fine"), (name, b"evil") if isinstance(name, str) else name))
    try:
        download.unpack(path, root, "a")
    except (tarfile.TarError, InputError):
        assert tree(root) == {}
    assert set(files(tmp_path)) <= {path.name, "out/root/a/fine", "out/root/a/x", "out/root/a/abs"}


def test_shanghaitech_comes_by_hand_or_from_a_mirror(host, cache, tmp_path, monkeypatch):
    content = {"shanghaitech/training/videos/01_001.avi": b"video"}
    campus, root = make_tar(*content.items()), tmp_path / "root"
    archive = ARCHIVES["shanghaitech"][0]._replace(sha256=sha256(campus))
    monkeypatch.setitem(ARCHIVES, "shanghaitech", [archive])
    path = root / "shanghaitech.tar.gz"
    with refused("missing-file", file=path) as caught:
        download_dataset("shanghaitech", root, progress=False)
    assert "https://svip-lab.github.io/dataset/campus_dataset.html" in str(caught.error)
    root.mkdir()
    path.write_bytes(campus + b"\0")
    with refused("download", file=path):
        download_dataset("shanghaitech", root, progress=False)
    path.write_bytes(campus)
    download_dataset("shanghaitech", root, progress=False)
    assert files(root) == content | {path.name: campus}
    host.answers = [sends(campus)]
    download_dataset("shanghaitech", tmp_path / "other", mirror=host.url, progress=False)
    assert host.asked == [("/shanghaitech.tar.gz", None)]
    assert files(tmp_path / "other") == content
