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
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import pytest
import servers
from archives import files, make_tar, make_zip, tree
from refusals import refused
from servers import FAILURES, FILES, FLIPPED, HALF, NAME, PAYLOAD, sends, status, well

from vadlib.data import download
from vadlib.data.download import ARCHIVES, Archive, download_dataset
from vadlib.errors import InputError


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def host(host, monkeypatch):
    """It has the archive of "ped2"."""
    archive = Archive(f"{host.url}/{NAME}", sha256(PAYLOAD), "", "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    return host


def fetch(root, **options):
    return download_dataset("ped2", root, progress=False, **options)


def fails(root, code, file=None, field=None, **options):
    """The message, which is one line; and nothing was made in root."""
    with refused(code, file=file, field=field) as caught:
        fetch(root, **options)
    assert "\n" not in str(caught.error)
    assert not root.exists() or tree(root) == {}
    return str(caught.error)


def arrives(tmp_path):
    fetch(tmp_path / "root")
    assert files(tmp_path / "root") == FILES
    assert tree(tmp_path / "cache" / "downloads") == {NAME: PAYLOAD}


def downloads(cache):
    """The whole files in the cache."""
    entries = files(cache / "downloads").items()
    return {name: content for name, content in entries if not name.endswith(".part")}


def test_a_dataset_is_downloaded_verified_and_unpacked(host, cache, tmp_path, capsys):
    lines = download_dataset("ped2", tmp_path / "root", progress=True)
    assert f"{NAME}: 100%" in capsys.readouterr().err
    assert files(tmp_path / "root") == FILES
    assert tree(cache / "downloads") == {NAME: PAYLOAD}
    assert f"{tmp_path / 'root' / 'tiny.v1'} was unpacked: 3 files" in lines[0]
    assert host.asked == [(f"/{NAME}", None)]
    [line] = fetch(tmp_path / "root")
    assert f"{tmp_path / 'root' / 'tiny.v1'} is there already" in line
    assert len(host.asked) == 1


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_server_is_one_error_and_leaves_nothing(host, cache, tmp_path, failure):
    answer, detail = FAILURES[failure]
    host.answers, start = [answer], time.monotonic()
    message = fails(tmp_path / "root", "download", file=cache / "downloads" / NAME)
    assert time.monotonic() - start < 10
    assert message.startswith(f"{host.url}/{NAME}: ")
    for part in (detail, "--mirror", str(cache / "downloads" / NAME)):
        assert part in message
    assert downloads(cache) == {}
    assert sum(path == f"/{NAME}" for path, _ in host.asked) >= 3  # it was tried again, and again
    host.answers = [well]
    arrives(tmp_path)


ANSWERS = [well, servers.without_ranges, servers.other_range, servers.chunked]
REPAIRS = [*product(["drops", "resets", "stalls"], ANSWERS), ("one bit flipped", well)]


@pytest.mark.parametrize(("failure", "then"), [*REPAIRS, ("500", well), ("web page", well)])
def test_one_failure_is_repaired_by_the_next_try(host, cache, tmp_path, failure, then):
    host.answers = [FAILURES[failure][0], then]
    arrives(tmp_path)
    assert len(host.asked) == (3 if then is servers.other_range else 2)


@pytest.mark.parametrize("name", [NAME, f".{NAME}.part"], ids=["whole", "part"])
@pytest.mark.parametrize("content", [PAYLOAD, FLIPPED, PAYLOAD + b"more", b"x" * HALF])
def test_only_a_sound_file_in_the_cache_counts(host, cache, tmp_path, name, content):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / name).write_bytes(content)
    arrives(tmp_path)
    assert (host.asked == []) == (content == PAYLOAD and name == NAME)


def test_bytes_that_a_server_labels_as_compressed_stay_as_they_are(host, cache, tmp_path):
    host.answers = [status(301, Location="/a"), sends(PAYLOAD, Content_Encoding="x-gzip")]
    fetch(tmp_path / "root")
    assert [path for path, _ in host.asked] == [f"/{NAME}", "/a"]
    assert downloads(cache) == {NAME: PAYLOAD}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_is_asked_instead_and_verified(host, cache, tmp_path, monkeypatch, slash):
    archive = replace(ARCHIVES["ped2"][0], url="http://127.0.0.1:1/x/" + NAME)
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    host.answers = [sends(FLIPPED)]
    message = fails(tmp_path / "root", "download", mirror=f"{host.url}/data{slash}")
    assert message.startswith(f"{host.url}/data/{NAME}: SHA256")
    host.answers = [well]
    fetch(tmp_path / "root", mirror=f"{host.url}/data{slash}")
    assert {path for path, _ in host.asked} == {f"/data/{NAME}"}
    assert files(tmp_path / "root") == FILES


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:1", "http://[", "ftp://127.0.0.1", "/a/b"])
def test_a_mirror_that_cannot_be_reached_is_one_error(host, cache, tmp_path, mirror):
    code, field = ("download", "") if "http" in mirror else ("wrong-format", "--mirror")
    assert mirror in fails(tmp_path / "root", code, field=field, mirror=mirror)


def test_a_full_disk_is_found_before_downloading_and_unpacking(host, cache, tmp_path, monkeypatch):
    usage = SimpleNamespace(total=10**12, used=10**12, free=len(PAYLOAD))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    message = fails(tmp_path / "root", "disk-full", file=cache / "downloads" / NAME)
    assert "VADLIB_CACHE" in message
    assert tree(cache / "downloads") == {}
    assert len(host.asked) == 1  # room does not come by trying again
    (cache / "downloads" / NAME).write_bytes(PAYLOAD)
    fails(tmp_path / "root", "disk-full", file=tmp_path / "root")


def test_a_cache_or_a_root_that_is_a_file_is_one_error(host, cache, tmp_path):
    cache.write_bytes(b"")
    fails(tmp_path / "root", "not-writable", file=cache / "downloads" / NAME)
    cache.unlink()
    (tmp_path / "root").write_bytes(b"mine")
    with refused("not-writable", file=tmp_path / "root"):
        fetch(tmp_path / "root")
    assert (tmp_path / "root").read_bytes() == b"mine"


# --- interruptions


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk on fire")], ids=repr)
def test_an_interrupted_unpacking_leaves_nothing(host, cache, tmp_path, monkeypatch, error):
    members = []

    def extract(self, member, *args, original=tarfile.TarFile.extract, **options):
        members.append(member)
        if len(members) == 3:
            raise error
        original(self, member, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extract", extract)
        with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
            fetch(tmp_path / "root")
    assert tree(tmp_path / "root") == {}
    fetch(tmp_path / "root")
    assert len(host.asked) == 1
    assert files(tmp_path / "root") == FILES


# A process that gets a dataset; with "unpack" it stops for ever after the first member.
STUCK = """
    import sys, tarfile, time
    from pathlib import Path
    from vadlib.data import download
    from vadlib.data.download import ARCHIVES, Archive

    def stuck(*args, original=tarfile.TarFile.extract, **options):
        original(*args, **options)
        Path(sys.argv[4]).touch()
        time.sleep(600)

    if sys.argv[5] == "unpack":
        tarfile.TarFile.extract = stuck
    ARCHIVES["ped2"] = (Archive(sys.argv[1], sys.argv[2], "", "tiny.v1"),)
    download.download_dataset("ped2", Path(sys.argv[3]), progress=False)
"""


def kill_when(ready, root, sign, step):
    """Start it, wait until `ready()`, kill it."""
    archive = ARCHIVES["ped2"][0]
    words = [archive.url, archive.sha256, str(root), str(sign), step]
    command = [sys.executable, "-c", textwrap.dedent(STUCK), *words]
    process, end = subprocess.Popen(command, stderr=subprocess.DEVNULL), time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


def test_a_kill_while_unpacking_leaves_no_dataset_and_the_next_run_clears_up(host, cache, tmp_path):
    root, sign = tmp_path / "root", tmp_path / "sign"
    kill_when(sign.exists, root, sign, "unpack")
    assert [path.name for path in root.iterdir()] == [".unpacking-tiny.v1"]
    fetch(root)
    assert files(root) == FILES
    assert [path.name for path in root.iterdir()] == ["tiny.v1"]


def test_a_kill_while_downloading_loses_nothing(host, cache, tmp_path):
    host.answers = [servers.stalls, well]
    part = cache / "downloads" / f".{NAME}.part"

    def has_half():
        return part.exists() and part.stat().st_size >= HALF - download.CHUNK

    kill_when(has_half, tmp_path / "root", tmp_path / "sign", "download")
    assert all(content == b"" for content in downloads(cache).values())  # pooch's own file
    fetch(tmp_path / "root")
    assert re.fullmatch(r"bytes=\d{5,}-", host.asked[1][1])
    assert files(tmp_path / "root") == FILES


# --- safe unpacking


@pytest.mark.parametrize("name", ["../x", "/abs", "a/../../x", "a/../x"])
@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_no_member_is_written_outside(tmp_path, name, pack):
    """Even if someone pins the SHA-256 of a hostile archive."""
    root = tmp_path / "out" / "root"
    path = tmp_path / ("archive.zip" if pack is make_zip else "archive.tar.gz")
    path.write_bytes(pack(("a/fine", b"fine"), (name, b"evil")))
    try:
        download.unpack(path, root, "a")
    except (tarfile.TarError, InputError):
        assert tree(root) == {}
    outside = {name for name in files(tmp_path) if not name.startswith("out/root/a/")}
    assert outside == {path.name}


def test_a_link_that_leads_out_is_not_made(tmp_path):
    link = tarfile.TarInfo("a/link")
    link.type, link.linkname = tarfile.SYMTYPE, "../../x"
    (tmp_path / "archive.tar.gz").write_bytes(make_tar(link))
    with pytest.raises(tarfile.TarError):
        download.unpack(tmp_path / "archive.tar.gz", tmp_path / "root", "a")
    assert tree(tmp_path / "root") == {}


# --- the datasets


def test_two_archives_of_one_dataset_share_a_folder(host, cache, tmp_path, monkeypatch):
    contents = {"Avenue Dataset/01.avi": b"video", "ground_truth_demo/1.mat": b"mask"}
    zips, archives = [], []
    for name, content in contents.items():
        zips.append(make_zip((name, content), ("__MACOSX/x", b"junk")))
        folder = name.split("/")[0]
        archives.append(Archive(f"{host.url}/{folder[0]}.zip", sha256(zips[-1]), "avenue", folder))
    monkeypatch.setitem(ARCHIVES, "avenue", tuple(archives))
    host.answers = [sends(zips[0]), status(404)]
    with refused("download", file=cache / "downloads" / "g.zip"):
        download_dataset("avenue", tmp_path / "root", progress=False)
    assert files(tmp_path / "root") == {"avenue/Avenue Dataset/01.avi": b"video"}
    host.answers = [sends(zips[1])]
    lines = download_dataset("avenue", tmp_path / "root", progress=False)
    assert "is there already" in lines[0]
    assert files(tmp_path / "root" / "avenue") == contents


CAMPUS_FILES = {"shanghaitech/training/videos/01_001.avi": b"video"}
CAMPUS = make_tar(*CAMPUS_FILES.items())


@pytest.fixture
def campus(cache, tmp_path, monkeypatch):
    """(**options) -> what `download_dataset` says of a tiny ShanghaiTech below tmp_path/root."""
    root, archive = tmp_path / "root", replace(ARCHIVES["shanghaitech"][0], sha256=sha256(CAMPUS))
    monkeypatch.setitem(ARCHIVES, "shanghaitech", (archive,))
    root.mkdir()
    return lambda **options: download_dataset("shanghaitech", root, progress=False, **options)


def test_shanghaitech_is_unpacked_once_a_person_has_put_its_archive_there(campus, tmp_path):
    path = tmp_path / "root" / "shanghaitech.tar.gz"
    with refused("missing-file", file=path) as caught:
        campus()
    assert "https://svip-lab.github.io/dataset/campus_dataset.html" in str(caught.error)
    path.write_bytes(CAMPUS + b"\0")
    with refused("download", file=path):
        campus()
    assert tree(tmp_path / "root") == {path.name: CAMPUS + b"\0"}
    path.write_bytes(CAMPUS)
    assert "was unpacked: 1 files" in campus()[0]
    assert files(tmp_path / "root") == CAMPUS_FILES | {path.name: CAMPUS}
    assert "is there already" in campus()[0]


def test_shanghaitech_comes_from_a_mirror_if_one_is_named(campus, host, tmp_path):
    host.answers = [sends(CAMPUS)]
    campus(mirror=host.url)
    assert host.asked == [("/shanghaitech.tar.gz", None)]
    assert files(tmp_path / "root") == CAMPUS_FILES


@pytest.mark.parametrize("name", ["synthetic", "folder", "ped3"])
def test_other_datasets_cannot_be_downloaded(tmp_path, name):
    with refused("unknown-name", field="dataset"):
        download_dataset(name, tmp_path)
    assert tree(tmp_path) == {}
