"""Downloads from a real server that fails in every way: a half or damaged file never counts, and
nothing is lost.
"""

import hashlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import time
from collections import namedtuple
from itertools import product

import pytest
from archives import files, make_tar, make_zip, tree
from refusals import refused
from servers import (
    FAILURES,
    FILES,
    FLIPPED,
    HALF,
    NAME,
    PAGE,
    PAYLOAD,
    chunked,
    drops,
    other_range,
    sends,
    stalls,
    status,
    well,
    without_ranges,
)

from vadlib.data import download
from vadlib.data.download import ARCHIVES, Archive, download_dataset
from vadlib.errors import InputError


@pytest.fixture
def host(host, monkeypatch):
    """It has the archive of "ped2"."""
    archive = Archive(
        f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "", "tiny.v1", 1_000_000
    )
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


def downloads(cache):
    return {
        name: content
        for name, content in files(cache / "downloads").items()
        if not name.endswith(".part")
    }


def test_a_dataset_is_downloaded_verified_and_unpacked(host, cache, tmp_path):
    lines = fetch(tmp_path / "root")
    assert files(tmp_path / "root") == FILES
    assert downloads(cache) == {NAME: PAYLOAD}
    assert tree(cache / "downloads") == downloads(cache)
    assert [f"{tmp_path / 'root' / 'tiny.v1'} was unpacked: 3 files" in line for line in lines] == [
        True,
        False,
    ]
    assert host.asked == [(f"/{NAME}", None)]


def test_what_is_there_is_not_downloaded_again(host, cache, tmp_path):
    (tmp_path / "root" / "tiny.v1").mkdir(parents=True)
    [line] = fetch(tmp_path / "root")
    assert f"{tmp_path / 'root' / 'tiny.v1'} is there already" in line
    assert "move it aside" in line
    assert host.asked == []
    assert tree(tmp_path / "root") == {"tiny.v1": None}


def test_a_file_put_into_the_cache_by_hand_is_used(host, cache, tmp_path):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / NAME).write_bytes(PAYLOAD)
    fetch(tmp_path / "root")
    assert host.asked == []
    assert files(tmp_path / "root") == FILES


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_server_is_one_error_and_leaves_nothing(host, cache, tmp_path, failure):
    answer, detail = FAILURES[failure]
    host.answers, start = [answer], time.monotonic()
    message = fails(tmp_path / "root", "download", file=cache / "downloads" / NAME)
    assert time.monotonic() - start < 10
    assert not host.released.is_set()
    assert message.startswith(f"{host.url}/{NAME}: ")
    assert detail is None or detail in message
    assert "--mirror" in message
    assert str(cache / "downloads" / NAME) in message
    assert downloads(cache) == {}
    assert sum(path == f"/{NAME}" for path, _ in host.asked) >= 3  # it was tried again, and again
    host.answers = [well]
    fetch(tmp_path / "root")
    assert files(tmp_path / "root") == FILES
    assert tree(cache / "downloads") == {NAME: PAYLOAD}


@pytest.mark.parametrize(
    ("failure", "then"),
    [
        *product(["drops", "resets", "stalls"], [well, without_ranges, other_range, chunked]),
        *product(["one bit flipped", "500", "length too short", "web page"], [well]),
    ],
)
def test_one_failure_is_mended_by_the_next_try(host, cache, tmp_path, failure, then):
    host.answers = [FAILURES[failure][0], then]
    fetch(tmp_path / "root")
    went_on = failure in ("drops", "resets", "stalls")
    assert len(host.asked) == (3 if went_on and then is other_range else 2)
    assert files(tmp_path / "root") == FILES
    assert tree(cache / "downloads") == {NAME: PAYLOAD}


def test_a_broken_download_goes_on_where_it_broke(host, cache, tmp_path):
    host.answers = [drops, status(500)]
    fails(tmp_path / "root", "download", file=cache / "downloads" / NAME)
    host.answers, host.asked = [well], []
    fetch(tmp_path / "root")
    assert host.asked == [(f"/{NAME}", f"bytes={HALF}-")]
    assert files(tmp_path / "root") == FILES


@pytest.mark.parametrize(
    "start",
    [PAYLOAD, PAYLOAD + b"more", b"x" * HALF, b""],
    ids=["all of it", "too much", "another", "nothing"],
)
def test_what_an_earlier_run_has_of_the_file_never_spoils_it(host, cache, tmp_path, start):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / f".{NAME}.part").write_bytes(start)
    fetch(tmp_path / "root")
    assert files(tmp_path / "root") == FILES
    assert tree(cache / "downloads") == {NAME: PAYLOAD}


def test_a_wrong_file_in_the_cache_is_named_and_then_replaced(host, cache, tmp_path):
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / NAME).write_bytes(FLIPPED)
    host.answers = [status(404)]
    fails(tmp_path / "root", "download", file=cache / "downloads" / NAME)
    host.answers = [well]
    fetch(tmp_path / "root")
    assert downloads(cache) == {NAME: PAYLOAD}


def test_redirects_are_followed(host, cache, tmp_path):
    host.answers = [status(301, Location="/a"), status(302, Location="/b"), well]
    fetch(tmp_path / "root")
    assert [path for path, _ in host.asked] == [f"/{NAME}", "/a", "/b"]
    assert files(tmp_path / "root") == FILES


def test_bytes_that_a_server_labels_as_compressed_stay_as_they_are(host, cache, tmp_path):
    host.answers = [sends(PAYLOAD, Content_Encoding="x-gzip")]
    fetch(tmp_path / "root")
    assert host.accepts == "identity"
    assert downloads(cache) == {NAME: PAYLOAD}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_is_asked_instead_and_its_file_is_verified(
    host, cache, tmp_path, monkeypatch, slash
):
    monkeypatch.setitem(
        ARCHIVES,
        "ped2",
        (Archive("http://127.0.0.1:1/x/" + NAME, *list(vars(ARCHIVES["ped2"][0]).values())[1:]),),
    )
    host.answers = [sends(FLIPPED)]
    message = fails(tmp_path / "root", "download", mirror=f"{host.url}/data{slash}")
    assert message.startswith(f"{host.url}/data/{NAME}: SHA256")
    host.answers = [well]
    fetch(tmp_path / "root", mirror=f"{host.url}/data{slash}")
    assert {path for path, _ in host.asked} == {f"/data/{NAME}"}
    assert files(tmp_path / "root") == FILES


@pytest.mark.parametrize(
    ("mirror", "code", "field"),
    [
        ("http://127.0.0.1:1", "download", ""),  # as without a network
        ("http://no-such-host.invalid", "download", ""),
        ("http://[", "download", ""),
        ("ftp://127.0.0.1", "wrong-format", "--mirror"),
        ("/a/folder", "wrong-format", "--mirror"),
    ],
)
def test_a_mirror_that_cannot_be_reached_is_one_error(
    host, cache, tmp_path, monkeypatch, mirror, code, field
):
    def look_up(name, *args, known=socket.getaddrinfo, **options):
        if name.endswith(".invalid"):  # a real look-up takes long where there is no network
            raise socket.gaierror(-2, "Name or service not known")
        return known(name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert mirror in fails(tmp_path / "root", code, field=field, mirror=mirror)


def usage(free):
    return lambda folder: namedtuple("usage", "total used free")(10**12, 10**12, free)


def test_too_full_a_disk_is_found_before_downloading_and_before_unpacking(
    host, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "disk_usage", usage(len(PAYLOAD)))
    assert "VADLIB_CACHE" in fails(tmp_path / "root", "disk-full", file=cache / "downloads")
    assert tree(cache / "downloads") == {}
    assert len(host.asked) == 1  # room does not come by trying again
    (cache / "downloads" / NAME).write_bytes(PAYLOAD)
    fails(tmp_path / "root", "disk-full", file=tmp_path / "root")


def test_a_cache_or_a_root_that_is_a_file_is_one_error(host, cache, tmp_path):
    cache.write_bytes(b"")
    fails(tmp_path / "root", "not-writable", file=cache / "downloads")
    cache.unlink()
    (tmp_path / "root").write_bytes(b"mine")
    with refused("not-writable", file=tmp_path / "root"):
        fetch(tmp_path / "root")
    assert (tmp_path / "root").read_bytes() == b"mine"


def test_the_bar_is_shown_when_asked_for(host, cache, tmp_path, capsys):
    download_dataset("ped2", tmp_path / "root", progress=True)
    assert f"{NAME}: 100%" in capsys.readouterr().err


# Interruptions


def test_an_interrupted_download_goes_on(host, cache, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download.tqdm, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path / "root")
    assert downloads(cache) == {}
    assert not (tmp_path / "root").exists()
    fetch(tmp_path / "root")
    assert host.asked[-1] == (f"/{NAME}", f"bytes={download.CHUNK}-")
    assert files(tmp_path / "root") == FILES


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError("disk on fire"), InputError),
        (AssertionError("a bug"), AssertionError),
    ],
)
def test_an_interrupted_unpacking_leaves_nothing(host, cache, tmp_path, monkeypatch, error, seen):
    written = []

    def extract(self, member, *args, known=tarfile.TarFile.extract, **options):
        written.append(member)
        if len(written) == 3:
            raise error
        known(self, member, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extract", extract)
        with pytest.raises(seen):
            fetch(tmp_path / "root")
    assert len(written) == 3
    assert tree(tmp_path / "root") == {}
    assert downloads(cache) == {NAME: PAYLOAD}
    fetch(tmp_path / "root")
    assert len(host.asked) == 1
    assert files(tmp_path / "root") == FILES


# A process that gets a dataset, and in it stops for ever at the given place.
STUCK = """
    import sys, tarfile, time
    from pathlib import Path
    from vadlib.data import download
    from vadlib.data.download import ARCHIVES, Archive

    def stop_after(known):
        def stuck(*args, **options):
            known(*args, **options)
            Path(sys.argv[4]).touch()
            time.sleep(600)
        return stuck

    if sys.argv[5] == "unpack":
        tarfile.TarFile.extract = stop_after(tarfile.TarFile.extract)
    ARCHIVES["ped2"] = (Archive(sys.argv[1], sys.argv[2], "", "tiny.v1", 1_000_000),)
    download.download_dataset("ped2", Path(sys.argv[3]), progress=False)
"""


def killed(host, root, sign, where, ready):
    """Start it, wait until `ready()`, kill it."""
    archive = ARCHIVES["ped2"][0]
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(STUCK),
        archive.url,
        archive.sha256,
        str(root),
        str(sign),
        where,
    ]
    process, end = subprocess.Popen(command, stderr=subprocess.DEVNULL), time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


def test_a_kill_while_unpacking_leaves_no_dataset_and_the_next_run_clears_up(host, cache, tmp_path):
    root, sign = tmp_path / "root", tmp_path / "sign"
    killed(host, root, sign, "unpack", sign.exists)
    [left_behind] = root.iterdir()
    assert left_behind.name.startswith(".unpacking-")
    fetch(root)
    assert files(root) == FILES
    assert [path.name for path in root.iterdir()] == ["tiny.v1"]


def test_a_kill_while_downloading_loses_nothing(host, cache, tmp_path):
    host.answers = [stalls, well]
    part = cache / "downloads" / f".{NAME}.part"
    killed(
        host,
        tmp_path / "root",
        tmp_path / "sign",
        "download",
        lambda: part.exists() and part.stat().st_size >= HALF - download.CHUNK,
    )
    # pooch's own file is still empty
    assert {name: content for name, content in downloads(cache).items() if content} == {}
    fetch(tmp_path / "root")
    assert re.fullmatch(r"bytes=\d{5,}-", host.asked[1][1])
    assert files(tmp_path / "root") == FILES


# The datasets


def test_two_archives_of_one_dataset_share_a_folder(host, cache, tmp_path, monkeypatch):
    contents = {
        "videos.zip": make_zip(("Avenue Dataset/01.avi", b"video")),
        "masks.zip": make_zip(("ground_truth_demo/1.mat", b"mask")),
    }
    made = {"videos.zip": "Avenue Dataset", "masks.zip": "ground_truth_demo"}
    archives = tuple(
        Archive(f"{host.url}/{n}", hashlib.sha256(c).hexdigest(), "avenue", made[n], 1000)
        for n, c in contents.items()
    )
    monkeypatch.setitem(ARCHIVES, "avenue", archives)
    host.answers = [sends(contents["videos.zip"]), status(404)]
    with refused("download", file=cache / "downloads" / "masks.zip") as caught:
        download_dataset("avenue", tmp_path / "root", progress=False)
    assert "404" in str(caught.error)
    assert files(tmp_path / "root") == {"avenue/Avenue Dataset/01.avi": b"video"}
    host.answers = [sends(contents["masks.zip"])]
    lines = download_dataset("avenue", tmp_path / "root", progress=False)
    assert "is there already" in lines[0]
    assert files(tmp_path / "root") == {
        "avenue/Avenue Dataset/01.avi": b"video",
        "avenue/ground_truth_demo/1.mat": b"mask",
    }


def test_a_dataset_whose_archive_holds_another_is_refused(host, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(
        ARCHIVES,
        "ped2",
        (Archive(*list(vars(ARCHIVES["ped2"][0]).values())[:3], "other", 1_000_000),),
    )
    message = fails(tmp_path / "root", "damaged-file", file=cache / "downloads" / NAME)
    assert "'other'" in message
    assert "'tiny.v1'" in message


CAMPUS = make_tar(
    ("shanghaitech/training/videos/01_001.avi", b"video"),
    ("shanghaitech/testing/frames/01_0014/000.jpg", b"frame"),
)
CAMPUS_FILES = {
    "shanghaitech/training/videos/01_001.avi": b"video",
    "shanghaitech/testing/frames/01_0014/000.jpg": b"frame",
}


@pytest.fixture
def campus(cache, tmp_path, monkeypatch):
    """(**options) -> what `download_dataset` says of a tiny ShanghaiTech below tmp_path/root."""
    archive = Archive(
        ARCHIVES["shanghaitech"][0].url,
        hashlib.sha256(CAMPUS).hexdigest(),
        "",
        "shanghaitech",
        1000,
    )
    monkeypatch.setitem(ARCHIVES, "shanghaitech", (archive,))
    (tmp_path / "root").mkdir()
    return lambda **options: download_dataset(
        "shanghaitech", tmp_path / "root", progress=False, **options
    )


def test_shanghaitech_is_not_there_and_the_steps_are_told(campus, tmp_path):
    path = tmp_path / "root" / "shanghaitech.tar.gz"
    with refused("missing-file", file=path) as caught:
        campus()
    assert "https://svip-lab.github.io/dataset/campus_dataset.html" in str(caught.error)
    assert str(path) in str(caught.error)
    assert "\n" not in str(caught.error)


def test_shanghaitech_is_verified_and_unpacked_once_its_archive_is_there(campus, tmp_path):
    (tmp_path / "root" / "shanghaitech.tar.gz").write_bytes(CAMPUS)
    assert "was unpacked: 2 files" in campus()[0]
    assert files(tmp_path / "root") == CAMPUS_FILES | {"shanghaitech.tar.gz": CAMPUS}
    assert "is there already" in campus()[0]


@pytest.mark.parametrize("content", [CAMPUS[:-1], CAMPUS + b"\0", b"", PAGE])
def test_a_wrong_archive_of_shanghaitech_is_named_and_stays(campus, tmp_path, content):
    path = tmp_path / "root" / "shanghaitech.tar.gz"
    path.write_bytes(content)
    with refused("download", file=path) as caught:
        campus()
    assert hashlib.sha256(content).hexdigest() in str(caught.error)
    assert tree(tmp_path / "root") == {"shanghaitech.tar.gz": content}


def test_shanghaitech_comes_from_a_mirror_if_one_is_named(campus, host, tmp_path):
    host.answers = [sends(CAMPUS)]
    campus(mirror=host.url)
    assert host.asked == [("/shanghaitech.tar.gz", None)]
    assert files(tmp_path / "root") == CAMPUS_FILES


@pytest.mark.parametrize("name", ["synthetic", "folder", "ped3"])
def test_what_cannot_be_downloaded_is_said(tmp_path, name):
    with refused("unknown-name", field="dataset") as caught:
        download_dataset(name, tmp_path)
    assert repr(name) in str(caught.error)
    assert tree(tmp_path) == {}


def test_these_are_the_archives():
    expected = """
        ped1          2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b  UCSD_Anomaly_Dataset.v1p2
                      http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz
        ped2          2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b  UCSD_Anomaly_Dataset.v1p2
                      http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz
        avenue        fc9cb8432a11ca79c18aa180c72524011411b69d3b0ff27c8816e41c0de61531  Avenue Dataset
                      http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/Avenue_Dataset.zip
        avenue        60fec1728ec8f73a58aad3aeb5729d70a805a47e0b8eb4bf91ab67ef06386d77  ground_truth_demo
                      http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/ground_truth_demo.zip
        shanghaitech  c13a827043b259ccf8493c9d9130486872992153a9d714fe229e523cd4c94116  shanghaitech
                      https://svip-lab.github.io/dataset/campus_dataset.html
    """
    found = [
        f"{name} {a.sha256} {a.makes} {a.url}"
        for name, archives in ARCHIVES.items()
        for a in archives
    ]
    assert " ".join(found) == " ".join(expected.split())
    assert [a.into for archives in ARCHIVES.values() for a in archives] == [
        "",
        "",
        "avenue",
        "avenue",
        "",
    ]
