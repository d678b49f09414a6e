import struct

import numpy as np
import pytest
from PIL import Image

from tests.data.images import encode, noise, smooth
from tl_keras.data.files.inspection import inspect_image, inspect_images
from tl_keras.inputs.decoding.images import decode_image
from tl_keras.inputs.decoding.problems import Problem, problem_table
from tools.torture.mutated_images import declared_sizes


def inspect(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return inspect_image(tmp_path / name, name)


def bmp_with_red_last():
    """A valid 32-bit BMP whose masks put red into the last byte, which TensorFlow leaves out."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 3] = 255
    masks = struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 32, 3, 64, 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 66 + 64, 0, 0, 66) + header + masks + pixels.tobytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", encode(noise(), "PNG")),
        ("a.jpg", encode(smooth(), "JPEG", quality=10)),
        ("cmyk.JPG", encode(smooth().convert("CMYK"), "JPEG")),
        ("palette.bmp", encode(noise().quantize(30), "BMP")),
        ("a.gif", encode(noise(4), "GIF")),
        ("a.webp", encode(noise(4), "WEBP")),
        ("deep.png", encode(Image.fromarray(np.arange(600, dtype=np.uint16)[None] * 100), "PNG")),
    ],
)
def test_sound_files_have_no_problem(tmp_path, name, content):
    assert inspect(tmp_path, name, content) is None


@pytest.mark.parametrize(
    ("name", "content", "kind", "detail"),
    [
        ("a.jpg", b"<html></html>", "not an image", "begins with b'<html></html'"),
        ("a.jpg", encode(smooth(), "JPEG")[:4], "truncated", "header is incomplete"),
        (
            "a.gif",
            encode(noise(), "WEBP", save_all=True, append_images=[noise(seed=1)]),
            "animated WebP",
            "save its first frame",
        ),
        ("a.jpg", encode(smooth(), "JPEG")[:500], "truncated", ""),
        ("a.bmp", encode(noise(), "BMP")[:-9], "truncated", "truncated"),
        ("a.bmp", bmp_with_red_last(), "cannot be decoded", "another order of colours"),
        ("a.bmp", encode(noise(1).convert("1"), "BMP"), "cannot be decoded", "fewer than 8 bits"),
        ("a.png", encode(noise(), "TIFF"), "unsupported format", "TIFF; convert it to one of JPEG"),
    ],
)
def test_problems_are_named(tmp_path, name, content, kind, detail):
    problem = inspect(tmp_path, name, content)
    assert (problem.path, problem.kind, problem.usable) == (name, kind, False)
    assert detail in problem.detail


@pytest.mark.parametrize("name", ["png 60000", "bmp 60000", "jpeg 65500", "webp 16383"])
def test_too_large_an_image_is_a_problem(tmp_path, name):
    problem = inspect(tmp_path, f"a.{name.split()[0]}", declared_sizes()[name])
    assert (problem.kind, problem.usable) == ("too large", False)
    assert problem.detail.startswith("more than 178,956,970 pixels; save it smaller")


def test_what_pillow_alone_refuses_is_noted(tmp_path):
    """Serving takes it, so that inspection does; but it is said."""
    content = bytearray(encode(smooth().quantize(8), "GIF"))
    content[-5] ^= 128
    assert decode_image(bytes(content)).shape == (24, 32, 3)
    problem = inspect(tmp_path, "a.gif", content)
    assert (problem.kind, problem.usable) == ("may be damaged", True)
    assert "TensorFlow reads it, Pillow says" in problem.detail


def test_another_view_of_pillow_is_noted(tmp_path):
    """An Adobe marker tells whether the CMYK values of a JPEG are inverted."""
    content = encode(smooth().convert("CMYK"), "JPEG").replace(b"Adobe", b"Adobf")
    problem = inspect(tmp_path, "a.jpg", content)
    assert (problem.kind, problem.usable) == ("decoded differently", True)
    assert "TensorFlow and Pillow differ by" in problem.detail


def test_missing_file_and_folder(tmp_path):
    assert inspect_image(tmp_path / "gone.png", "gone.png").kind == "missing"
    assert inspect_image(tmp_path, "folder").kind == "not a regular file"


def test_files_are_reported_in_their_order(tmp_path):
    names = [f"{number:02}.png" for number in range(30)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"" if number % 3 == 0 else encode(noise(), "PNG"))
    usable, problems, _ = inspect_images([(str(tmp_path / name), name) for name in names], False)
    assert usable == [number % 3 != 0 for number in range(30)]
    assert [problem.path for problem in problems] == names[::3]


def test_progress_is_silent_for_short_work(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(encode(noise(), "PNG"))
    inspect_images([(str(tmp_path / "a.png"), "a.png")], progress=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_table_has_problems_before_notes_and_says_what_it_leaves_out():
    problems = [
        Problem("note.png", "wrong extension", "the content is JPEG", usable=True),
        Problem("a/long/name.jpg", "empty", "the file has 0 bytes"),
    ]
    assert problem_table(problems).splitlines() == [
        "file             problem          used  detail",
        "a/long/name.jpg  empty            no    the file has 0 bytes",
        "note.png         wrong extension  yes   the content is JPEG",
    ]
    assert problem_table(problems, 1).splitlines()[-1] == "… and 1 more"
    assert problem_table([]) == ""
