"""Property tests over random trees: the same frames in the same order, or an error that names the
file.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from refusals import refused
from trees import matlab_script

from vadlib.data.catalog import load_videos
from vadlib.data.ucsd import TEST_LENGTHS as UCSD_LENGTHS

JUNK = [".DS_Store", "._{}", "Thumbs.db", "desktop.ini", "{}~", ".{}.swp", "notes.txt", "._x.jpg"]
prefixes = st.sampled_from(["", "frame", "img_", "f-", "Frame ", "2010_"])
endings = st.sampled_from(["png", "PNG", "Png"])
# What a copy does to the numbers in names: padding, the first number, a prefix; an ending of its
# own for each file.
naming = st.fixed_dictionaries(
    {"prefix": prefixes, "width": st.integers(0, 6), "first": st.sampled_from([0, 1, 1, 37])}
    | {"endings": st.lists(endings, min_size=3, max_size=3)}
)
junk = st.lists(st.tuples(st.sampled_from(JUNK), st.integers(0, 10**6)), max_size=6)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """265 grey pictures; picture t has level t, modulo 256."""
    folder = tmp_path_factory.mktemp("levels")
    for t in range(265):
        Image.new("L", (6, 5), t % 256).save(folder / f"{t}.png")
    return [folder / f"{t}.png" for t in range(265)]


def name_of(names, t):
    return f"{names['prefix']}{t + names['first']:0{names['width']}d}.{names['endings'][t % 3]}"


def lay(folder: Path, pictures, count: int, names: dict, without: set[int] = frozenset()) -> None:
    folder.mkdir(parents=True)
    for t in range(count):
        if t not in without:
            os.link(pictures[t], folder / name_of(names, t))


def litter(root: Path, junk) -> None:
    """Junk anywhere in a tree, named as real tools name it, also like one of the files beside it;
    never over a file that is there.
    """
    folders = sorted(p for p in root.rglob("*") if p.is_dir())
    for pattern, choice in junk:
        folder = folders[choice % len(folders)]
        files = sorted(p.name for p in folder.iterdir() if p.is_file()) or ["001.tif"]
        path = folder / pattern.format(files[choice % len(files)])
        if not path.exists():
            path.write_bytes(b"\0\5\x16\7 not an image")


def levels(video):
    return [int(frame[0, 0, 0]) for frame in video.frames[:]]


@given(st.integers(3, 40), st.integers(3, 40), naming, naming, junk)
def test_any_frame_folders_as_ones_own(tmp_path_factory, pictures, first, second, a, b, junk):
    root = tmp_path_factory.mktemp("tree")
    lay(root / "training" / "b2", pictures, first, a)
    lay(root / "training" / "b10", pictures, second, b)
    litter(root, junk)
    videos = load_videos("folder", "train", root)
    assert [v.name for v in videos] == ["b2", "b10"]
    assert [levels(v) for v in videos] == [list(range(first)), list(range(second))]
    shutil.rmtree(root)


@given(naming, naming, st.sampled_from(["{}", "Test{:03d}", "video_{:04d}"]), junk, st.booleans())
def test_any_ped2(tmp_path_factory, pictures, frames, masks, clip_name, junk, official):
    root, name = tmp_path_factory.mktemp("tree"), clip_name.format(9)
    labels = [(np.arange(n) % 7 == 3).astype(np.uint8) for n in UCSD_LENGTHS["ped2"]]
    if official:
        folder = root / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped2" / "Test"
        clip, mask = folder / name, folder / f"{name}_gt"
        folder.mkdir(parents=True)
        (folder / "UCSDped2.m").write_text(matlab_script(labels))
    else:
        folder = root / "ped2" / "testing"
        clip, mask = folder / "frames" / name, folder / "masks" / name
        folder.mkdir(parents=True)
        np.save(root / "ped2" / "frame_labels_ped2.npy", np.concatenate(labels)[None])
    lay(clip, pictures, 120, frames)
    lay(mask, [pictures[int(x)] for x in labels[8]], 120, masks)
    litter(root, junk)
    [video] = load_videos("ped2", "test", root)
    assert (video.name, levels(video)) == ("09", list(range(120)))
    assert np.array_equal(video.labels, labels[8])
    assert np.array_equal(video.masks[:].any((1, 2)), labels[8])
    shutil.rmtree(root)


@given(st.integers(5, 30), naming, junk, st.booleans(), st.data())
def test_a_frame_that_is_missing_or_there_twice_is_an_error(
    tmp_path_factory, pictures, count, names, junk, twice, data
):
    root, t = tmp_path_factory.mktemp("tree"), data.draw(st.integers(1, count - 2))
    lay(root / "a", pictures, count, names, without=set() if twice else {t})
    litter(root, junk)
    if twice:
        os.link(pictures[0], (root / "a" / name_of(names, t)).with_suffix(".bmp"))
    with refused("missing-frame", file=root / "a") as caught:
        load_videos("folder", "train", root)
    if not twice:
        assert name_of(names, t - 1) in str(caught.error)
        assert name_of(names, t + 1) in str(caught.error)
    shutil.rmtree(root)
