"""Picture files: whole ones are read whatever stands behind them or beside the picture, cut ones
are refused in every format.
"""

import io

import numpy as np
import pytest
from films import SCENE, encode, jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import refused

from vadlib.data.video import read_image
from vadlib.errors import InputError

PIXELS = SCENE[0].repeat(2, 0).repeat(2, 1)
PICTURE = Image.fromarray(PIXELS)


def save(form, picture=PICTURE, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def with_thumbnail():
    """EXIF with a whole JPEG of its own, as cameras store it."""
    exif = PICTURE.getexif()
    exif[0x0112] = 1
    block = exif.tobytes()
    return save("JPEG", exif=block + jpeg(PIXELS[::4, ::4]))


JPEGS = {
    "baseline": save("JPEG"),
    "progressive": save("JPEG", progressive=True),
    "optimised": save("JPEG", optimize=True),
    "restart markers": save("JPEG", restart_marker_rows=1),
    "many restart markers": save("JPEG", restart_marker_blocks=1),
    "progressive with restart markers": save("JPEG", progressive=True, restart_marker_rows=1),
    "grey": save("JPEG", PICTURE.convert("L")),
    "CMYK": save("JPEG", PICTURE.convert("CMYK")),
    "4:4:4": save("JPEG", subsampling=0),
    "RGB": save("JPEG", keep_rgb=True),
    "comment": save("JPEG", comment=b"\xff\xd9 no end \xff\xda"),
    "thumbnail": with_thumbnail(),
    "ICC profile": save("JPEG", icc_profile=bytes(range(256)) * 300),
    "two views": save("MPO", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]),
    "one colour": save("JPEG", Image.new("RGB", (64, 48), (9, 9, 9)), optimize=True),
    "one pixel": save("JPEG", Image.new("RGB", (1, 1), (200, 9, 9))),
    "odd size": save("JPEG", Image.fromarray(PIXELS[:33, :57])),
}
SCAN = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00"
BEHIND = {
    "one zero": b"\0",
    "zeros": bytes(5000),
    "ones": b"\xff" * 300,
    "a scan's marker": b"slack of the card \xff\xda and no end marker any more",
    "a scan": SCAN + bytes(range(256)),
    "half a JPEG": jpeg(PIXELS)[: len(jpeg(PIXELS)) // 2],
    "a JPEG": jpeg(PIXELS[::2]),
    "text": b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
    "another end": b"\xff\xd9\xff\xd9",
    "a camera's trailer": b"SEFT" + bytes(99) + b"SEFH",
}


def put(path, content):
    path.write_bytes(content)
    return path


def pillow(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("name", JPEGS)
def test_bytes_behind_a_jpeg_are_no_part_of_it(tmp_path, name, behind):
    path = put(tmp_path / "a.jpg", JPEGS[name] + BEHIND[behind])
    assert np.array_equal(read_image(path, 3), pillow(JPEGS[name]))


def test_a_motion_photo_is_its_picture(tmp_path):
    film = encode(tmp_path / "a.mp4", "libx264").read_bytes()
    path = put(tmp_path / "a.jpg", JPEGS["thumbnail"] + film)
    assert np.array_equal(read_image(path, 3), pillow(JPEGS["thumbnail"]))


@pytest.mark.parametrize("behind", ["nothing", "zeros to its size", *BEHIND])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in JPEGS
        if name not in ("one colour", "one pixel", "two views", "many restart markers")
    ],
)
def test_a_jpeg_that_is_cut_is_refused_whatever_is_behind(tmp_path, name, behind):
    content = JPEGS[name]
    scan = content.rindex(b"\xff\xda") if "progressive" not in name else content.index(b"\xff\xda")
    for part in (0.3, 0.6, 0.9):
        cut = scan + 14 + int(part * (len(content) - scan - 14))
        tail = {"nothing": b"", "zeros to its size": bytes(len(content) - cut)}.get(
            behind, BEHIND.get(behind)
        )
        with refused("damaged-file", file=tmp_path / "a.jpg"):
            read_image(put(tmp_path / "a.jpg", content[:cut] + tail), 3)


BASELINE = [
    "baseline",
    "optimised",
    "restart markers",
    "many restart markers",
    "grey",
    "CMYK",
    "4:4:4",
    "4:1:1",
    "thumbnail",
    "odd size",
]


@pytest.mark.parametrize("damage", ["cut", "zeros", "end marker"])
def test_the_first_picture_of_several_is_looked_at(tmp_path, damage):
    """Multi-picture files (MPO), whose second view is whole."""
    content = JPEGS["two views"]
    second = content.index(b"\xff\xd8", 2)
    cut = second // 2 + 300
    gap = second - cut
    rest = {
        "cut": b"",
        "zeros": bytes(gap) + content[second:],
        "end marker": b"\xff\xd9" + bytes(gap - 2) + content[second:],
    }
    with refused("damaged-file", file=tmp_path / "a.jpg"):
        read_image(put(tmp_path / "a.jpg", content[:cut] + rest[damage]), 3)


def test_a_second_view_that_is_cut_takes_nothing_from_the_first(tmp_path):
    content = JPEGS["two views"]
    cut = (content.index(b"\xff\xd8", 2) + len(content)) // 2
    assert np.array_equal(read_image(put(tmp_path / "a.jpg", content[:cut]), 3), pillow(content))


# --- other formats


OTHERS = {
    "png": save("PNG"),
    "stored png": save("PNG", compress_level=0),
    "grey png": save("PNG", PICTURE.convert("L")),
    "palette png": save("PNG", PICTURE.quantize()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_cuts_and_unwritten_ends_of_other_formats_are_refused(tmp_path, name):
    content = OTHERS[name]
    path = put(tmp_path / "a.png", content)
    whole = read_image(path, 3)
    assert np.array_equal(whole, pillow(content))
    for part in (0.4, 0.6, 0.8, 0.95):
        cut = int(part * len(content))
        for tail in (b"", bytes(len(content) - cut)):
            with refused("damaged-file", file=path):
                read_image(put(path, content[:cut] + tail), 3)


def test_a_hole_in_a_stored_png_is_refused(tmp_path):
    """Pillow reads neither the checksum of the chunk nor, once all rows are there, that of the
    pixels.
    """
    content = OTHERS["stored png"]
    half = len(content) // 2
    with refused("damaged-file", file=tmp_path / "a.png"):
        read_image(put(tmp_path / "a.png", content[:half] + bytes(512) + content[half + 512 :]), 3)


# --- several pictures in one file


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_file_of_several_pictures_is_refused(tmp_path, form):
    """Only the first of them would be read."""
    content = save(form, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
    with refused("wrong-kind-of-file", file=tmp_path / "a.png"):
        read_image(put(tmp_path / "a.png", content), 3)


# --- damage of any kind


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(OTHERS | JPEGS)), st.floats(0, 1), st.binary(min_size=1, max_size=8))
def test_damage_of_any_bytes_raises_nothing_but_input_error(tmp_path, name, place, noise):
    content = (OTHERS | JPEGS)[name]
    at = int(place * (len(content) - len(noise)))
    path = put(tmp_path / "a.png", content[:at] + noise + content[at + len(noise) :])
    try:
        read_image(path, 3)
    except InputError as error:
        assert error.file == path
