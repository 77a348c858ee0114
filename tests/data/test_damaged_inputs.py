"""Hundreds of damaged copies: each is refused with one clear line that names the file, or reads
exactly as the whole one does.

What no reader can notice is left out: bytes changed inside a picture that still decodes, a CSV cut
inside its last number.
"""

import hashlib
import os
import pickle
import shutil

import numpy as np
import pytest
import trees
from PIL import Image
from trees import matlab_script, scene, write_images, write_video

from vadlib.data.catalog import find_copy
from vadlib.data.ucsd import Ped2
from vadlib.errors import InputError

WRONG = [
    b"",
    trees.POINTER,
    b"404 Not Found\n",
    b"<!DOCTYPE html><html><body>Sign in</body></html>",
]
WRONG += [pickle.dumps(np.zeros(5), 2), pickle.dumps({"gt": [1]}, 5), b"PK\x03\x04" + bytes(60)]
WRONG += [b"\x1f\x8b\x08" + bytes(60), bytes(5000), b"\xff" * 5000, b"\x7fELF" + bytes(range(256))]


def read_all(name, root):
    """A digest of everything that a copy gives: frames, labels, masks."""
    digest, copy = hashlib.sha256(), find_copy(name, root)
    for video in copy.open("train") + copy.open("test"):
        digest.update(f"{video.name} {video.frames.shape}".encode())
        masks = video.masks[:] if video.masks is not None else b"none"
        for part in (video.frames[:], video.labels, masks):
            digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def expect_refusal(name, root, path, whole):
    """Reading must raise an InputError of `path`, or one whose line names its clip, or give what it
    gave before the damage.
    """
    try:
        assert read_all(name, root) == whole, f"{path}: the damage went unnoticed"
    except InputError as error:
        line = str(error)
        clips = (path.parent.name.removesuffix("_gt"), path.stem, "video 08", "video 09")
        assert "\n" not in line
        assert error.file == path or any(clip in line for clip in clips), line


def damages(path):
    """Contents of other kinds, a file cut short, and a download that was preallocated."""
    sound, suffix = path.read_bytes(), path.suffix
    contents = list(WRONG)
    if suffix == ".csv":  # cut after a comma, inside the header or a name: not inside a number
        return contents + [sound[: sound.index(b",", at) + 1] for at in (0, 6, 17, 30)]
    contents += [sound[:at] for at in np.linspace(1, len(sound) - 1, 20).astype(int)]
    if suffix in (".jpg", ".avi", ".mp4", ".mkv"):  # elsewhere zeros are values like any others
        for at in np.linspace(40, len(sound) * 0.9, 8).astype(int):
            contents.append(sound[:at] + bytes(len(sound) - at))
    return contents


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """name -> (root, digest) of small sound copies."""
    names = ("folder", "avenue", "shanghaitech", "ped2")
    roots = {name: tmp_path_factory.mktemp(name) for name in names}
    trees.own_videos(roots["folder"], "csv")
    trees.official_avenue(roots["avenue"], {8: 36}, train=1)
    trees.official_shanghaitech(roots["shanghaitech"], {"01_0014": 20}, train=("01_001",))
    base = roots["ped2"] / "UCSD_Anomaly_Dataset.v1p2/UCSDped2"
    frames = np.random.default_rng(0).integers(0, 255, (120, 10, 12), dtype=np.uint8)
    write_images(base / "Train/Train001", frames[:5], "{:03d}.tif", 1)
    write_images(base / "Test/Test009", frames, "{:03d}.tif", 1)
    write_images(base / "Test/Test009_gt", np.ones((120, 10, 12), bool), "frame{:03d}.bmp", 1)
    labels = [np.ones(length, np.uint8) for length in Ped2.numbered_lengths]
    (base / "Test/UCSDped2.m").write_text(matlab_script(labels))
    return {name: (root, read_all(name, root)) for name, root in roots.items()}


PLACES = """folder/training/cam1/monday.mp4|folder/training/cam1/tuesday.avi|folder/labels.csv
folder/training/cam2/more.mkv|folder/training/cam2/walk/frame7.jpg
avenue/avenue/Avenue Dataset/testing_videos/08.avi
avenue/avenue/ground_truth_demo/testing_label_mask/8_label.mat
shanghaitech/shanghaitech/testing/test_frame_mask/01_0014.npy
shanghaitech/shanghaitech/testing/test_pixel_mask/01_0014.npy"""
UCSD = ("Test009/077.tif", "Test009/001.tif", "Test009_gt/frame077.bmp", "UCSDped2.m")
PLACES += "".join(f"|ped2/UCSD_Anomaly_Dataset.v1p2/UCSDped2/Test/{file}" for file in UCSD)


@pytest.mark.parametrize("place", PLACES.replace("\n", "|").split("|"))
def test_a_damaged_file_is_named(templates, tmp_path, place):
    name = place.split("/")[0]
    root, path = tmp_path / name, tmp_path / place
    whole = templates[name][1]
    shutil.copytree(templates[name][0], root, copy_function=os.link)
    sound = path.read_bytes()
    contents = damages(path)
    if path.suffix in (".tif", ".bmp"):  # a picture of another size
        with Image.open(path) as image:
            image.convert("L").transpose(Image.Transpose.ROTATE_90).save(tmp_path / path.name)
        contents.append((tmp_path / path.name).read_bytes())
    if name == "avenue" and path.suffix == ".avi":  # its masks have another size
        turned = write_video(tmp_path / "turned.avi", scene(1, 36, size=(64, 48))[0][0])
        contents.append(turned.read_bytes())
    for content in [*contents, sound]:
        # Another file with another time, so that no cache takes it for the old one.
        path.unlink()
        path.write_bytes(content)
        expect_refusal(name, root, path, whole)
    assert read_all(name, root) == whole
