"""Hundreds of damaged copies: each is refused with one clear line that names the file, or reads
exactly as the whole one does.

What no reader can notice is left out: bytes changed inside a picture that still decodes, a CSV cut
inside its last number.
"""

import hashlib
import io
import os
import pickle
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from trees import (
    matlab_script,
    official_avenue,
    official_shanghaitech,
    own_videos,
    save_cells,
    scene,
    write_images,
    write_video,
)

from vadlib.data.catalog import find_copy
from vadlib.errors import InputError

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
)
WRONG = {
    "empty": b"",
    "LFS pointer": LFS_POINTER,
    "text": b"404 Not Found\n",
    "HTML": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "pickle 2": pickle.dumps(np.zeros(5), 2),
    "pickle 5": pickle.dumps({"gt": [1]}, 5),
    "zip": b"PK\x03\x04" + bytes(60),
    "gzip": b"\x1f\x8b\x08" + bytes(60),
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "executable": b"\x7fELF" + bytes(range(256)),
}
SECONDS = 20  # far more than any of them takes; a hang would take longer
tried = {"refused": 0, "unchanged": 0}


def read_all(name, root):
    """A digest of everything that a copy gives: frames, labels, masks."""
    digest, copy = hashlib.sha256(), find_copy(name, root)
    for split in ("train", "test"):
        for video in copy.open(split):
            digest.update(f"{split} {video.name} {video.frames.shape}".encode())
            for part in (
                video.frames[:],
                video.labels,
                video.masks[:] if video.masks is not None else None,
            ):
                digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def expect_refusal(name, root, path, whole, also=()):
    """Reading must raise an InputError of `path` (or one whose line names one of `also`), or give
    what it gave before the damage.
    """
    started = time.monotonic()
    try:
        same = read_all(name, root) == whole
    except InputError as error:
        line = str(error)
        assert "\n" not in line
        assert error.file == path or any(part in line for part in also), line
        tried["refused"] += 1
    else:
        assert same, f"{path}: the damage went unnoticed"
        tried["unchanged"] += 1
    assert time.monotonic() - started < SECONDS


def put(path, content):
    """Replace a file, which may be a hard link, and give it another time, so that no cache takes it
    for the old one.
    """
    path.unlink()
    path.write_bytes(content)


def cuts(content, count=12):
    """A file cut short at several places, from its first bytes to its last."""
    places = sorted({1, 7, *np.linspace(10, len(content) - 1, count).astype(int).tolist()})
    return {f"cut at {at}": content[:at] for at in places if at < len(content)}


def encode(pixels, suffix):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """name -> (root, digest) of small sound copies."""
    roots = {
        name: tmp_path_factory.mktemp(name) for name in ("folder", "avenue", "shanghaitech", "ped2")
    }
    own_videos(roots["folder"], "csv")
    official_avenue(roots["avenue"], {8: 36}, train=1)
    official_shanghaitech(roots["shanghaitech"], {"01_0014": 20}, train=("01_001",))
    base = roots["ped2"] / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2"
    frames = np.random.default_rng(0).integers(0, 255, (120, 10, 12), dtype=np.uint8)
    write_images(base / "Train" / "Train001", frames[:5], "{:03d}.tif", 1)
    write_images(base / "Test" / "Test009", frames, "{:03d}.tif", 1)
    write_images(base / "Test" / "Test009_gt", np.ones((120, 10, 12), bool), "frame{:03d}.bmp", 1)
    labels = [
        np.ones(n, np.uint8) for n in (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
    ]
    (base / "Test" / "UCSDped2.m").write_text(matlab_script(labels))
    return {name: (root, read_all(name, root)) for name, root in roots.items()}


@pytest.fixture
def copy_of(templates, tmp_path):
    """(name) -> root and digest of a copy that the test may damage."""

    def make(name):
        root = tmp_path / name
        if not root.exists():
            shutil.copytree(templates[name][0], root, copy_function=os.link)
        return root, templates[name][1]

    return make


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
def test_pictures(tmp_path, suffix):
    frames = np.random.default_rng(1).integers(0, 255, (6, 24, 32, 3), dtype=np.uint8)
    write_images(tmp_path / "training" / "a", frames, f"{{:03d}}.{suffix}")
    write_images(tmp_path / "testing" / "b", frames, f"{{:03d}}.{suffix}")
    whole = read_all("folder", tmp_path)
    path = tmp_path / "testing" / "b" / f"003.{suffix}"
    sound = path.read_bytes()
    damages = WRONG | cuts(sound) | {"swapped sizes": encode(frames[3].transpose(1, 0, 2), suffix)}
    # a preallocated download; in a BMP or TIFF zeros are black pixels like any others
    if suffix in ("jpg", "png"):
        damages |= {
            f"zeros from {at}": sound[:at] + bytes(len(sound) - at)
            for at in np.linspace(40, len(sound) - 20, 8).astype(int)
        }
    for content in damages.values():
        put(path, content)
        expect_refusal("folder", tmp_path, path, whole)
    put(path, sound)
    assert read_all("folder", tmp_path) == whole


@pytest.mark.parametrize("which", ["frame", "first frame", "mask", "first mask"])
def test_official_pictures_and_masks(copy_of, which):
    root, whole = copy_of("ped2")
    name = "001" if which.startswith("first") else "077"
    test = root / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2" / "Test"
    path = (
        test / "Test009_gt" / f"frame{name}.bmp"
        if "mask" in which
        else test / "Test009" / f"{name}.tif"
    )
    sound = path.read_bytes()
    with Image.open(path) as image:
        swapped = encode(np.asarray(image.convert("L")).T.copy(), path.suffix[1:])
    for content in (WRONG | cuts(sound, 5) | {"swapped": swapped}).values():
        put(path, content)
        # The size of all frames is that of the first one: when that one is turned, the second is
        # the odd one out.
        expect_refusal("ped2", root, path, whole, also=("Test009", "video 09"))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ped2", "UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/UCSDped2.m"),
        ("avenue", "avenue/ground_truth_demo/testing_label_mask/8_label.mat"),
        ("shanghaitech", "shanghaitech/testing/test_frame_mask/01_0014.npy"),
        ("shanghaitech", "shanghaitech/testing/test_pixel_mask/01_0014.npy"),
        ("folder", "labels.csv"),
    ],
)
def test_label_files(copy_of, name, place):
    root, whole = copy_of(name)
    path = root / place
    sound = path.read_bytes()
    damages = dict(WRONG)
    if path.suffix == ".csv":  # cut after a comma, inside the header or a name: not inside a number
        damages |= {
            f"cut after {text}": sound[: sound.index(text) + len(text)]
            for text in (b"video,st", b"cam1/fri", b"cam1/friday,", b",20,")
        }
    else:
        damages |= cuts(sound, 25)
    for content in damages.values():
        put(path, content)
        expect_refusal(name, root, path, whole)
    put(path, sound)
    assert read_all(name, root) == whole


def test_label_files_of_whole_sets_and_their_lengths(tmp_path):
    write_images(tmp_path / "ped2" / "testing" / "frames" / "09", np.zeros((120, 8, 8), np.uint8))
    write_images(tmp_path / "ped2" / "training" / "frames" / "01", np.zeros((20, 8, 8), np.uint8))
    mat, npy = tmp_path / "ped2" / "ped2.mat", tmp_path / "ped2" / "frame_labels_ped2.npy"
    for path in (mat, npy):
        save_cells(mat, "gt", [np.array([[1], [100]], np.uint8)] * 12) if path == mat else np.save(
            npy, np.zeros(2010, np.uint8)
        )
        whole, sound = read_all("ped2", tmp_path), path.read_bytes()
        for content in (WRONG | cuts(sound, 30)).values():
            put(path, content)
            expect_refusal("ped2", tmp_path, path, whole)
        path.unlink()
    np.save(npy, np.zeros(2010, np.uint8))
    whole = read_all("ped2", tmp_path)
    for count in (0, 1, 119, 120, 2009, 2011, 4020, 1962):
        np.save(npy, np.zeros(count, np.uint8))
        expect_refusal("ped2", tmp_path, npy, whole)
    for values in (
        np.full(2010, 2),
        np.full(2010, 0.5),
        np.full(2010, np.nan),
        np.array(["0"] * 2010),
        np.zeros(2010, complex),
    ):
        np.save(npy, values)
        expect_refusal("ped2", tmp_path, npy, whole)
    np.save(npy, np.array([{"a": 1}], object), allow_pickle=True)
    expect_refusal("ped2", tmp_path, npy, whole)


@pytest.mark.parametrize("change", [-36, -20, -1, 1, 5, 300])
def test_wrong_label_lengths(copy_of, change):
    """Of each dataset, too few and too many labels and masks."""
    root, whole = copy_of("shanghaitech")
    for kind, shape in (("test_frame_mask", ()), ("test_pixel_mask", (48, 64))):
        path = root / "shanghaitech" / "testing" / kind / "01_0014.npy"
        sound = path.read_bytes()
        path.unlink()
        np.save(path, np.zeros((max(0, 20 + change), *shape), np.uint8))
        expect_refusal("shanghaitech", root, path, whole, also=("01_0014",))
        put(path, sound)
    root, whole = copy_of("avenue")
    path = root / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat"
    save_cells(path, "volLabel", [np.zeros((60, 80), np.uint8)] * max(1, 36 + change))
    expect_refusal("avenue", root, path, whole, also=("08.avi",))
    root, whole = copy_of("folder")
    put(root / "labels.csv", f"video,start,end\ncam1/friday,3,{60 + abs(change)}\n".encode())
    expect_refusal("folder", root, root / "labels.csv", whole)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("folder", "training/cam1/monday.mp4"),
        ("folder", "training/cam1/tuesday.avi"),
        ("folder", "training/cam2/more.mkv"),
        ("avenue", "avenue/Avenue Dataset/testing_videos/08.avi"),
    ],
)
def test_video_files(copy_of, tmp_path, name, place):
    root, whole = copy_of(name)
    path = root / place
    sound = path.read_bytes()
    damages = WRONG | cuts(sound, 20)
    damages |= {
        f"zeros from {at}": sound[:at] + bytes(len(sound) - at)
        for at in np.linspace(200, len(sound) * 0.9, 8).astype(int)
    }
    turned = write_video(
        tmp_path / f"turned{path.suffix}", scene(1, 36, size=(64, 48))[0][0], codec="mpeg4"
    )
    for content in damages.values():
        put(path, content)
        expect_refusal(name, root, path, whole)
    if name == "avenue":  # its masks have another size
        put(path, turned.read_bytes())
        expect_refusal(name, root, path, whole, also=("video 08",))


def test_at_least_500_damaged_inputs_were_tried():
    """Runs last in this file; archives and cuts of videos have hundreds more in test_download.py
    and test_decode.py.
    """
    if not tried["refused"]:
        pytest.skip("counts what the tests above it did, and none of them ran")
    assert tried["refused"] >= 500
    assert tried["unchanged"] <= 30  # cut after what matters
