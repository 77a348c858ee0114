"""Picture files: whole ones are read whatever stands behind them or beside the picture, cut ones
are refused in every format.
"""

import io

import numpy as np
import pytest
from films import SCENE, encode, jpeg
from PIL import Image
from refusals import refused

from vadlib.data.video import read_image

PIXELS = SCENE[0].repeat(2, 0).repeat(2, 1)
PICTURE = Image.fromarray(PIXELS)


def save(form, picture=PICTURE, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


EXIF = PICTURE.getexif()
EXIF[0x0112] = 1
JPEGS = {
    "baseline": save("JPEG"),
    "progressive": save("JPEG", progressive=True),
    "restart markers": save("JPEG", restart_marker_rows=1),
    "grey": save("JPEG", PICTURE.convert("L")),
    "CMYK": save("JPEG", PICTURE.convert("CMYK")),
    "comment": save("JPEG", comment=b"\xff\xd9 no end \xff\xda"),
    "thumbnail": save("JPEG", exif=EXIF.tobytes() + jpeg(PIXELS[::4, ::4])),
    "ICC profile": save("JPEG", icc_profile=bytes(range(256)) * 300),
    "two views": save("MPO", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]),
    "one pixel": save("JPEG", Image.new("RGB", (1, 1), (200, 9, 9))),
    "odd size": save("JPEG", Image.fromarray(PIXELS[:33, :57])),
}
PNGS = {
    "png": save("PNG"),
    "stored png": save("PNG", compress_level=0),
    "palette png": save("PNG", PICTURE.quantize()),
}
BEHIND = {
    "nothing": b"",
    "zeros": bytes(5000),
    "ones": b"\xff" * 300,
    "a scan's marker": b"slack of the card \xff\xda and no end marker any more",  # cases/05
    "a scan": b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00" + bytes(range(256)),
    "half a JPEG": jpeg(PIXELS)[: len(jpeg(PIXELS)) // 2],
    "a JPEG": jpeg(PIXELS[::2]),
    "another end": b"\xff\xd9\xff\xd9",
}


def read(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    return read_image(path, 3)


def pillow(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("behind", [*BEHIND, "a film"])
@pytest.mark.parametrize("name", JPEGS)
def test_bytes_behind_a_jpeg_are_no_part_of_it(tmp_path, name, behind):
    tail = BEHIND.get(behind) or encode(tmp_path / "a.mp4", "libx264", SCENE[:3]).read_bytes()
    assert np.array_equal(read(tmp_path, JPEGS[name] + tail), pillow(JPEGS[name]))


@pytest.mark.parametrize("behind", [*BEHIND, "zeros to its size"])
@pytest.mark.parametrize("name", sorted(set(JPEGS) - {"one pixel", "two views"}))
def test_a_jpeg_that_is_cut_is_refused_whatever_is_behind(tmp_path, name, behind):
    content = JPEGS[name]
    scan = content.index(b"\xff\xda") if name == "progressive" else content.rindex(b"\xff\xda")
    for part in (0.3, 0.6, 0.9):
        cut = scan + 14 + int(part * (len(content) - scan - 14))
        with refused("damaged-file", file=tmp_path / "a.png"):
            read(tmp_path, content[:cut] + BEHIND.get(behind, bytes(len(content) - cut)))


@pytest.mark.parametrize("name", PNGS)
def test_cuts_unwritten_ends_and_holes_of_a_png_are_refused(tmp_path, name):
    """Pillow reads neither the checksum of the chunk nor, once all rows are there, that of the
    pixels.
    """
    content = PNGS[name]
    assert np.array_equal(read(tmp_path, content), pillow(content))
    for part in (0.4, 0.6, 0.8):
        cut = int(part * len(content))
        for tail in (b"", bytes(len(content) - cut), bytes(512) + content[cut + 512 :]):
            with refused("damaged-file", file=tmp_path / "a.png"):
                read(tmp_path, content[:cut] + tail)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_file_of_several_pictures_is_refused(tmp_path, form):
    """Only the first of them would be read."""
    with refused("wrong-kind-of-file", file=tmp_path / "a.png"):
        read(tmp_path, save(form, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]))
