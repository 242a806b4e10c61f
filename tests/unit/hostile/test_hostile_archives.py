"""Archives and folders of images that mean harm: one line, nothing written, nothing outside."""

from __future__ import annotations

import bz2
import io
import struct
import warnings
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from spikeline.cli.main import main
from spikeline.errors import InputError
from spikeline.sources import stimuli


def png(width=4, height=3) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, content in members:
            written.writestr(name, content)
    return path


def claimed(content: bytes, size: int) -> bytes:
    """An archive of one member in which the headers claim another size of it."""
    changed = bytearray(content)
    central = content.index(b"PK\1\2")
    changed[22:26] = changed[central + 24 : central + 28] = struct.pack("<I", size)
    return bytes(changed)


def png_of_size(width: int, height: int) -> bytes:
    """A picture of a few bytes whose header claims so many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [header, b"IDAT" + zlib.compress(bytes(100)), b"IEND"]
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def a_link(path):
    info = zipfile.ZipInfo("a.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return archive(path, (info, "../../../etc/passwd"))


def overlapping(path):
    """A directory that names one member many times, as zip bombs do."""
    archive(path, ("0.png", b"\0" * 100_000))
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    entry, count = content[start:end], 200
    entries = b"".join(
        entry.replace(b"0.png", f"{k:05d}"[-1:].encode() + b".png") for k in range(count)
    )
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), start, 0)
    path.write_bytes(content[:start] + entries + tail)
    return path


def a_bomb(path):
    archive(path, ("a.png", bytes(1000)))
    path.write_bytes(claimed(path.read_bytes(), 2**30))


ARCHIVES = {
    "a name above the archive": (
        lambda path: archive(path, ("../../a.png", png())), "points outside the archive",
    ),
    "a name above it with backslashes": (
        lambda path: archive(path, ("..\\..\\a.png", png())), "points outside the archive",
    ),
    "a name above it in the middle": (
        lambda path: archive(path, ("b/../../a.png", png())), "points outside the archive",
    ),
    "an absolute name": (lambda path: archive(path, ("/tmp/a.png", png())), "points outside"),
    "an absolute name of Windows": (
        lambda path: archive(path, ("C:\\a.png", png())), "points outside the archive",
    ),
    "a link": (a_link, "'a.png' is a link"),
    "a member that unpacks to more than an image": (a_bomb, "more than the 537 MB"),
    "members that share their bytes": (overlapping, "claims more than its size holds"),
    "a member that claims to be longer than it is": (
        lambda path: path.write_bytes(
            claimed(archive(path, ("a.png", png())).read_bytes(), 200_000_000)
        ),
        "'a.png' is damaged",
    ),
    "a member that claims to be shorter than it is": (
        lambda path: path.write_bytes(claimed(archive(path, ("a.png", png())).read_bytes(), 5)),
        "'a.png' is damaged",
    ),
    "damaged LZMA": (
        lambda path: path.write_bytes(
            archive(path, ("a.png", png()), compression=zipfile.ZIP_LZMA)
            .read_bytes().replace(b"\x5d\0\0", b"\xff\xff\xff", 1)
        ),
        "'a.png'",
    ),
    "a line end in a name": (
        lambda path: archive(path, ("a\nb.png", png())), "no list or table can hold",
    ),
    "a tab in a name": (lambda path: archive(path, ("a\tb.png", png())), "no list or table"),
    "a terminal's command in a name": (
        lambda path: archive(path, ("\x1b[2Ja.png", png())), "no list or table",
    ),
    "Unicode's line end in a name": (
        lambda path: archive(path, ("a\u2028b.png", png())), "no list or table",
    ),
    "no archive": (lambda path: path.write_text("#!/bin/sh\ntouch pwned"), "not a zip archive"),
    "bzip2 in place of zip": (lambda path: path.write_bytes(bz2.compress(b"x")), "not a zip"),
}  # fmt: skip
IMAGES = {
    "text": b"hello",
    "nothing": b"",
    "a page that asks for a login": b"<html><body>log in</body></html>",
    "a script": b"#!/bin/sh\ntouch pwned\n",
    "a program": b"\x7fELF" + bytes(100),
    "PostScript, which Pillow has another program run": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(pwned) (w) file\n%%EOF\n"
    ),
    "a vector graphic": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/x"/></svg>',
    "a PNG of its first bytes": b"\x89PNG\r\n\x1a\n",
    "a PNG cut in half": png(40, 40)[:60],
    "a PNG of ten billion pixels": png_of_size(100_000, 100_000),
    "a PNG of the most pixels": png_of_size(2**31 - 1, 2**31 - 1),
    "a PNG of no pixels": png_of_size(0, 5),
    "a GIF of its first bytes": b"GIF89a\xff\xff\xff\xff",
    "a TIFF that refers to itself": b"II*\0\x08\0\0\0\1\0\0\1\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0",
}


def refused(capsys, folder, arguments) -> str:
    """The one line with which a command ends; it leaves the folder as it was."""
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        status = main(arguments)
    told = [
        line
        for line in capsys.readouterr().err.replace("\r", "\n").splitlines()
        if line and "it/s]" not in line and "?it" not in line
    ]
    assert status == 1 and len(told) == 1, told
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before
    return told[0]


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_hostile_archive_is_refused_and_leaves_nothing(what, tmp_path, capsys, record_property):
    write, said = ARCHIVES[what]
    folder = tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        write(folder / "a.zip")
    command = [
        "pack-stimuli", "--images", str(folder / "a.zip"), "--output", str(folder / "b.zip"),
    ]  # fmt: skip
    line = refused(capsys, tmp_path, command)
    assert said in line and "a.zip" in line
    record_property("hostile inputs", 1)


def test_images_that_fill_the_disk_are_refused_before_the_first_is_unpacked(
    tmp_path, capsys, monkeypatch, record_property
):
    archive(tmp_path / "a.zip", *((f"{k}.png", bytes(10_000_000)) for k in range(3)))
    monkeypatch.setattr(stimuli.shutil, "disk_usage", lambda path: SimpleNamespace(free=2e7))
    monkeypatch.setattr(stimuli.zipfile.ZipFile, "read", None)
    command = [
        "pack-stimuli", "--images", str(tmp_path / "a.zip"), "--output", str(tmp_path / "b.zip"),
    ]  # fmt: skip
    assert "unpack to 0.0 GB" in refused(capsys, tmp_path, command)
    record_property("hostile inputs", 1)


@pytest.mark.parametrize("what", IMAGES)
def test_an_image_that_is_none_is_refused_wherever_images_are_read(
    what, tmp_path, capsys, record_property
):
    content = IMAGES[what]
    archive(tmp_path / "a.zip", ("a b.png", content))
    (tmp_path / "captions.tsv").write_text(
        "things_path\tcaption\tsplit\n" + "a b.png\tx\ttrain\na b.png\tx\ttest\n"
    )
    for command in (
        ["pack-stimuli", "--images", "a.zip", "--shorter-side", "2", "--output", "b.zip"],
        ["train-clip", "--images", "a.zip", "--captions", "captions.tsv", "--output", "model"],
    ):
        here = [str(tmp_path / w) if "." in w or w == "model" else w for w in command]
        line = refused(capsys, tmp_path, here)
        assert "a b.png" in line and ("cannot be decoded" in line or "pixels; refused" in line)
        record_property("hostile inputs", 1)
    with pytest.raises(InputError, match=r"a b\.png' (cannot be decoded|claims more)"):
        list(stimuli.load(tmp_path / "a.zip", np.array(["a b.png"], object)))


def test_links_that_leave_a_folder_of_images_are_refused_and_those_of_datalad_are_followed(
    tmp_path, capsys, record_property
):
    outside = tmp_path / "secret.png"
    outside.write_bytes(png())
    for number, target in enumerate((outside, "../secret.png", "../images/../secret.png")):
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        link = folder / f"{number}.png"
        link.symlink_to(target)
        command = ["pack-stimuli", "--images", str(folder), "--output", str(tmp_path / "b.zip")]
        assert "outside the folder; refused" in refused(capsys, tmp_path, command)
        record_property("hostile inputs", 1)
        link.unlink()
    store = tmp_path / ".git" / "annex" / "objects" / "k"
    store.mkdir(parents=True)
    (store / "k").write_bytes(png())
    (folder / "a.png").symlink_to("../.git/annex/objects/k/k")
    (folder / "b.png").symlink_to("a.png")
    assert stimuli.pack(folder, tmp_path / "b.zip", "{}") == 2


NAMES = [
    "a'b.png", 'a"b.png', "a b.png", "$(touch pwned).png", "`touch pwned`.png", "a;touch pwned.png",
    "a&b|c>d.png", "{x}.png", "{{x}}.png", "%s%n.png", "--output.png", "*.png", "~a.png", "#a.png",
    "é/日本語 🐈.png", "e\u0301.png", "\u202egnp.png", "a\\$b.png", "=1+1.png", "a,b.png",
]  # fmt: skip


def test_names_that_mean_something_to_a_shell_are_names_all_the_way_to_the_responses(
    tmp_path, capsys, monkeypatch, record_property
):
    from spikeline.artifacts import responses

    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(4 + number))
    assert main(["pack-stimuli", "--images", "images", "--output", "a.zip"]) == 0
    expected = sorted(name.replace("\\", "/") for name in NAMES)
    assert list(stimuli.names("a.zip")) == expected
    assert all(image.size[1] == 3 for image in stimuli.load("a.zip", np.array(expected, object)))
    np.save("r.npy", np.random.default_rng(0).normal(size=(len(NAMES), 3)))
    (tmp_path / "list.txt").write_text("\n".join(expected))
    settings = '{"regions": null, "splits": 2, "test_images": 3}'
    done = main(
        ["convert-arrays", "--responses", "r.npy", "--stimuli", "a.zip", "--images", "list.txt",
         "--settings", settings, "--output", "r.h5"]
    )  # fmt: skip
    assert done == 0, capsys.readouterr().err
    assert list(responses.read("r.h5").images) == expected
    assert not list(tmp_path.rglob("pwned"))
    record_property("hostile inputs", len(NAMES))
