"""Picture files: whole ones are read whatever stands behind them or beside the picture, cut ones
are refused in every format.
"""

import io
import struct
import tempfile
import zlib
from pathlib import Path

import av
import cv2
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


def by_opencv(factor, restart=0, progressive=0):
    flags = [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        factor,
        cv2.IMWRITE_JPEG_RST_INTERVAL,
        restart,
        cv2.IMWRITE_JPEG_PROGRESSIVE,
        progressive,
    ]
    return cv2.imencode(".jpg", PIXELS[..., ::-1], flags)[1].tobytes()


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
    "4:1:1": by_opencv(factor=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    "4:4:0 with restart markers": by_opencv(factor=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, restart=3),
    "4:2:2 progressive": by_opencv(factor=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, progressive=1),
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


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(JPEGS)), st.binary(max_size=200), st.sampled_from(sorted(BEHIND)))
def test_any_bytes_behind_a_jpeg_are_no_part_of_it(tmp_path, name, noise, behind):
    path = put(tmp_path / "a.jpg", JPEGS[name] + noise + BEHIND[behind])
    assert np.array_equal(read_image(path, 3), pillow(JPEGS[name]))


@pytest.mark.parametrize("behind", ["nothing", "zeros to its size", *BEHIND])
@pytest.mark.parametrize(
    "name", [name for name in JPEGS if name not in ("one colour", "one pixel", "two views")]
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


def lossless():
    """A frame of lossless JPEG, as libav writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = encode(Path(folder) / "a.avi", "ljpeg", PIXELS[None], pix_fmt="yuvj444p")
        with av.open(str(path)) as container:
            return next(bytes(packet) for packet in container.demux(video=0))


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


@pytest.mark.parametrize("name", [*BASELINE, "lossless"])
def test_an_end_marker_behind_a_cut_hides_nothing(tmp_path, name):
    """As cameras write it whose buffer is too small: libjpeg fills the rest with grey in silence."""
    content = lossless() if name == "lossless" else JPEGS[name]
    scan = content.rindex(b"\xff\xda") + 14
    for part in (0.1, 0.5, 0.9):
        cut = scan + int(part * (len(content) - scan))
        with refused("damaged-file", file=tmp_path / "a.jpg"):
            read_image(put(tmp_path / "a.jpg", content[:cut] + b"\xff\xd9"), 3)


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


def directory_first(content):
    """The same TIFF with its directory in front of its strips, so that damage at the end meets
    pixels only.
    """
    with Image.open(io.BytesIO(content)) as image:
        tags, types = dict(image.tag_v2), dict(image.tag_v2.tagtype)
    strips = [
        content[place : place + size] for place, size in zip(tags[273], tags[279], strict=True)
    ]
    start = 8 + 2 + 12 * len(tags) + 4

    def head(places):
        entries, values = b"", b""
        for tag in sorted(tags):
            kind = 4 if tag in (273, 279) else types[tag]
            value = tuple(places) if tag == 273 else tags[tag]
            value = value if isinstance(value, tuple) else (value,)
            if kind in (5, 10):
                raw, count = (
                    b"".join(struct.pack("<II", v.numerator, v.denominator) for v in value),
                    len(value),
                )
            elif isinstance(value[0], bytes):
                raw, count = value[0], len(value[0])
            elif isinstance(value[0], str):
                raw, count = value[0].encode() + b"\0", len(value[0]) + 1
            else:
                raw, count = (
                    b"".join(struct.pack({1: "<B", 3: "<H", 4: "<I"}[kind], v) for v in value),
                    len(value),
                )
            inline = (
                raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", start + len(values))
            )
            entries += struct.pack("<HHI", tag, kind, count) + inline
            values += raw + b"\0" * (len(raw) % 2) if len(raw) > 4 else b""
        return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + values

    length = len(head([0] * len(strips)))
    places = [length + sum(map(len, strips[:n])) for n in range(len(strips))]
    return head(places) + b"".join(strips)


ONE_BIT = Image.fromarray(
    np.random.default_rng(0).integers(0, 2, (96, 128), dtype=np.uint8) * np.uint8(255)
).convert("1")
OTHERS = {
    "png": save("PNG"),
    "stored png": save("PNG", compress_level=0),
    "one-bit png": save("PNG", ONE_BIT),
    "grey png": save("PNG", PICTURE.convert("L")),
    "palette png": save("PNG", PICTURE.quantize()),
    "webp": save("WEBP"),
    "lossless webp": save("WEBP", lossless=True),
    "gif": save("GIF"),
} | {
    f"tiff {compression} {picture.mode}": directory_first(
        save("TIFF", picture, compression=compression, strip_size=4096)
    )
    for compression, picture in [
        ("tiff_lzw", PICTURE),
        ("tiff_adobe_deflate", PICTURE),
        ("tiff_adobe_deflate", ONE_BIT),
        ("jpeg", PICTURE),
        ("jpeg", PICTURE.convert("L")),
        ("zstd", PICTURE),
        ("lzma", PICTURE),
        ("group4", ONE_BIT),
        ("group3", ONE_BIT),
        ("packbits", PICTURE.convert("L")),
    ]
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


@pytest.mark.parametrize("name", ["png", "stored png", "one-bit png", "webp", "gif"])
def test_bytes_behind_other_pictures_are_no_part_of_them(tmp_path, name):
    whole = pillow(OTHERS[name])
    for behind in BEHIND.values():
        assert np.array_equal(read_image(put(tmp_path / "a.png", OTHERS[name] + behind), 3), whole)


def test_a_hole_in_a_stored_png_is_refused(tmp_path):
    """Pillow reads neither the checksum of the chunk nor, once all rows are there, that of the
    pixels.
    """
    content = OTHERS["stored png"]
    half = len(content) // 2
    with refused("damaged-file", file=tmp_path / "a.png"):
        read_image(put(tmp_path / "a.png", content[:half] + bytes(512) + content[half + 512 :]), 3)


def test_a_png_of_several_chunks_is_whole(tmp_path):
    content = OTHERS["png"]
    start = content.index(b"IDAT")
    size = int.from_bytes(content[start - 4 : start], "big")
    data = content[start + 4 : start + 4 + size]
    chunks = b""
    for at in range(0, size, 1000):
        part = b"IDAT" + data[at : at + 1000]
        chunks += struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
    split = content[: start - 4] + chunks + content[start + 8 + size :]
    assert np.array_equal(read_image(put(tmp_path / "a.png", split), 3), PIXELS)


# --- several pictures in one file


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_file_of_several_pictures_is_refused(tmp_path, form):
    """Only the first of them would be read."""
    content = save(form, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
    with refused("wrong-kind-of-file", file=tmp_path / "a.png"):
        read_image(put(tmp_path / "a.png", content), 3)


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_thumbnail_or_mask_in_a_tiff_is_left_aside(tmp_path, kind):
    thumbnail = Image.fromarray(PIXELS[::8, ::8])
    buffer = io.BytesIO()
    PICTURE.save(buffer, "TIFF", save_all=True, append_images=[thumbnail])
    content = bytearray(buffer.getvalue())
    with Image.open(io.BytesIO(content)) as image:
        image.seek(1)
        at = image._frame_pos[1]
    count = int.from_bytes(content[at : at + 2], "little")
    entries = [content[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    # A directory with one entry more, NewSubfileType, at the end of the file; the first one is told
    # to go there.
    place = len(content)
    listed = struct.pack("<HHII", 254, 4, 1, kind) + b"".join(entries)
    content += struct.pack("<H", count + 1) + listed + bytes(4)
    content = bytes(content).replace(struct.pack("<I", at), struct.pack("<I", place), 1)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 2
    assert np.array_equal(read_image(put(tmp_path / "a.tif", content), 3), PIXELS)


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
