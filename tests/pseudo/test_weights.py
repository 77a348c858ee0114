"""Weights of detectors are your own file, or a known one that is looked for and downloaded;
tested against a local server.
"""

import hashlib

import pytest
from refusals import refused
from servers import PAYLOAD, drops, sends, status, well

from vadlib.pseudo import weights
from vadlib.pseudo.weights import find_weights


@pytest.fixture
def known(host, cache, tmp_path, monkeypatch):
    """The server has one known file, of no known SHA-256, and one of a wrong one."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path / "data"))
    address = f"{host.url}/"
    table = {"net.pt": (address, None), "other.weights": (address, "0" * 64)}
    monkeypatch.setattr(weights, "KNOWN", table)
    return cache / "weights"


def test_a_path_is_taken_as_it_is(known, tmp_path, host):
    path = tmp_path / "mine.pt"
    path.write_bytes(b"x")
    assert find_weights(str(path)) == path
    assert host.asked == []


@pytest.mark.parametrize("folder", ["cache", "data"])
def test_a_file_that_is_there_needs_no_network(known, tmp_path, host, folder):
    path = tmp_path / folder / "weights" / "net.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert find_weights("net.pt") == path
    assert host.asked == []


def test_a_known_file_is_downloaded_once(known, host):
    assert find_weights("net.pt") == known / "net.pt"
    assert (known / "net.pt").read_bytes() == PAYLOAD
    find_weights("net.pt")
    assert [path for path, _ in host.asked] == ["/net.pt"]


def test_a_download_that_drops_is_gone_on_with(known, host):
    host.answers = [drops, well]
    assert find_weights("net.pt").read_bytes() == PAYLOAD
    assert host.asked[1][1] is not None  # asked for the rest


@pytest.mark.parametrize(
    "answer", [status(404), status(503), sends(b"<html>", Content_Type="text/html"), drops]
)
def test_what_cannot_be_had_is_said_with_what_to_do_and_leaves_nothing(known, host, answer):
    host.answers = [answer]
    with refused("download", file=known / "net.pt") as caught:
        find_weights("net.pt")
    assert "'motion'" in str(caught.error)  # another detector, which needs no weights
    assert not (known / "net.pt").exists()
    host.answers = [well]
    assert find_weights("net.pt").read_bytes() == PAYLOAD


def test_another_file_than_expected_is_refused(known, host):
    with refused("download", file=known / "other.weights"):
        find_weights("other.weights")
    assert not (known / "other.weights").exists()


def test_an_unknown_name_is_refused_with_the_known_ones_and_the_places(known, tmp_path, host):
    with refused("missing-file", file="yolov9.pt", field="weights") as caught:
        find_weights("yolov9.pt")
    for text in (str(known), str(tmp_path / "data" / "weights"), "net.pt"):
        assert text in str(caught.error)
    assert host.asked == []


def test_the_sums_are_those_of_the_real_files(real_data):
    for name, (_, digest) in weights.KNOWN.items():
        if digest:
            assert hashlib.sha256((real_data / "weights" / name).read_bytes()).hexdigest() == digest
