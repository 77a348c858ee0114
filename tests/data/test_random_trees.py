"""Any names and any junk: the same frames in the same order, or an error that names the file."""

import os
import shutil

from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.data.catalog import load_videos

JUNK = [".DS_Store", "._{}", "Thumbs.db", "desktop.ini", "{}~", ".{}.swp", "notes.txt", "._x.jpg"]
junk = st.lists(st.tuples(st.sampled_from(JUNK), st.integers(0, 10**6)), max_size=6)
# What a copy does to the numbers in names: padding, the first number, a prefix; an ending of its
# own for each file.
naming = st.tuples(
    st.sampled_from(["", "frame", "img_", "f-", "Frame ", "2010_"]),
    st.sampled_from([0, 1, 1, 37]),
    st.integers(0, 6),
    st.lists(st.sampled_from(["png", "PNG", "Png"]), min_size=3, max_size=3),
)


def name_of(names, t):
    return f"{names[0]}{t + names[1]:0{names[2]}d}.{names[3][t % 3]}"


def litter(root, junk):
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


@given(st.integers(5, 30), naming, junk, st.booleans(), st.data())
def test_a_frame_that_is_missing_or_there_twice_is_an_error(
    tmp_path_factory, pictures, count, names, junk, twice, data
):
    root, t = tmp_path_factory.mktemp("tree"), data.draw(st.integers(1, count - 2))
    (root / "a").mkdir()
    for number in range(count):
        if twice or number != t:
            os.link(pictures[number], root / "a" / name_of(names, number))
    litter(root, junk)
    if twice:
        os.link(pictures[0], (root / "a" / name_of(names, t)).with_suffix(".bmp"))
    with refused("missing-frame", file=root / "a") as caught:
        load_videos("folder", "train", root)
    if not twice:
        assert name_of(names, t - 1) in str(caught.error)
        os.link(pictures[t], root / "a" / name_of(names, t))
        [video] = load_videos("folder", "train", root)
        assert video.frames[:][:, 0, 0, 0].tolist() == list(range(count))
    shutil.rmtree(root)
