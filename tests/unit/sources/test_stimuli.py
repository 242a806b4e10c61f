"""Images out of a folder or an archive into one plain zip, and out of that by name."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from PIL import Image

from spikeline.errors import InputError
from spikeline.sources import stimuli

RECORD = '{"step": "pack-stimuli"}'


def png(value: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (4, 3), value).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {"cat/cat_2.png": png(20), "cat/cat_1.png": png(10), "dog/dog_1.png": png(30)}


@pytest.fixture
def folder(tmp_path):
    for name, content in PICTURES.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "images"


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def packed(source, tmp_path, **options):
    count = stimuli.pack(source, tmp_path / "plain.zip", RECORD, **options)
    with zipfile.ZipFile(tmp_path / "plain.zip") as made:
        assert len(made.namelist()) == count
        return {info.filename: made.read(info) for info in made.infolist()}


def refusal(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        result = call(*arguments, **options)
        list(result if call is stimuli.load else [])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_pack(source, tmp_path, **options):
    text = refusal(stimuli.pack, source, tmp_path / "plain.zip", RECORD, **options)
    assert str(source) in text
    assert not [p for p in tmp_path.iterdir() if "plain.zip" in p.name]
    return text


def test_a_folder_is_packed_byte_for_byte_under_its_relative_names(folder, tmp_path):
    assert packed(folder, tmp_path) == PICTURES


def test_an_archive_is_packed_byte_for_byte(tmp_path):
    assert packed(archive(tmp_path / "a.zip", PICTURES), tmp_path) == PICTURES


def test_the_plain_zip_is_stored_and_carries_its_record(folder, tmp_path):
    packed(folder, tmp_path)
    with zipfile.ZipFile(tmp_path / "plain.zip") as made:
        assert made.comment == RECORD.encode()
        for info in made.infolist():
            assert info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1


def test_packing_again_gives_the_same_bytes_whatever_the_source(folder, tmp_path):
    stimuli.pack(folder, tmp_path / "a.zip", RECORD)
    for path in folder.rglob("*.png"):
        path.touch()
    stimuli.pack(folder, tmp_path / "b.zip", RECORD)
    shuffled = dict(sorted(PICTURES.items(), reverse=True))
    stimuli.pack(archive(tmp_path / "s.zip", shuffled), tmp_path / "c.zip", RECORD)
    contents = {(tmp_path / name).read_bytes() for name in ("a.zip", "b.zip", "c.zip")}
    assert len(contents) == 1


def test_a_prefix_is_stripped_and_what_lies_outside_it_is_left_out(tmp_path):
    members = {f"object_images/{name}": content for name, content in PICTURES.items()}
    source = archive(tmp_path / "a.zip", {**members, "other/x.png": png(1)})
    assert packed(source, tmp_path, prefix="object_images/") == PICTURES


def test_a_prefix_is_a_folder_with_or_without_its_slash(tmp_path):
    members = {f"object_images/{name}": content for name, content in PICTURES.items()}
    source = archive(tmp_path / "a.zip", {**members, "object_images_2/x.png": png(1)})
    assert packed(source, tmp_path, prefix="object_images") == PICTURES


def test_what_is_no_image_is_left_out(tmp_path):
    extra = {"readme.txt": b"", "__MACOSX/cat/._cat_1.png": b"", ".hidden.png": b"", "cat/": b""}
    assert packed(archive(tmp_path / "a.zip", {**extra, **PICTURES}), tmp_path) == PICTURES


def test_backslashes_become_slashes(tmp_path):
    members = {name.replace("/", "\\"): content for name, content in PICTURES.items()}
    assert packed(archive(tmp_path / "a.zip", members), tmp_path) == PICTURES


@pytest.mark.parametrize("name", ["../evil.png", "cat/../../evil.png", "/evil.png", "..\\evil.png"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path, name):
    text = refused_pack(archive(tmp_path / "a.zip", {**PICTURES, name: png(1)}), tmp_path)
    assert "evil.png" in text and "outside" in text


def test_an_archive_without_images_is_refused(tmp_path):
    assert "holds no images" in refused_pack(archive(tmp_path / "a.zip", {"a.txt": ""}), tmp_path)


def test_a_prefix_that_matches_nothing_is_named(tmp_path):
    text = refused_pack(archive(tmp_path / "a.zip", PICTURES), tmp_path, prefix="objects/")
    assert "'objects/'" in text


def test_two_members_of_one_name_are_refused(tmp_path):
    source = archive(tmp_path / "a.zip", {"cat\\1.png": png(1), "cat/1.png": png(2)})
    assert "'cat/1.png'" in refused_pack(source, tmp_path)


def test_a_source_that_is_not_there_is_refused(tmp_path):
    assert "no such file or folder" in refused_pack(tmp_path / "gone", tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_a_truncated_archive_is_refused(tmp_path, kept):
    source = archive(tmp_path / "a.zip", PICTURES)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * kept)])
    assert "truncated" in refused_pack(source, tmp_path)


def test_a_damaged_member_is_named(tmp_path):
    source = archive(tmp_path / "a.zip", PICTURES, zipfile.ZIP_STORED)
    content = bytearray(source.read_bytes())
    place = content.index(PICTURES["dog/dog_1.png"]) + 20
    content[place : place + 4] = b"\xff\xff\xff\xff"
    source.write_bytes(content)
    assert "'dog/dog_1.png' is damaged" in refused_pack(source, tmp_path)


def test_a_damaged_compressed_member_is_named(tmp_path):
    noise = np.random.default_rng(0).bytes(2000)
    source = archive(tmp_path / "a.zip", {**PICTURES, "x.png": b"a" * 3000 + noise})
    with zipfile.ZipFile(source) as made:
        info = made.getinfo("x.png")
        place = info.header_offset + 30 + len(info.filename) + 3
    content = bytearray(source.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    source.write_bytes(content)
    assert "'x.png' is damaged" in refused_pack(source, tmp_path)


@pytest.fixture
def encrypted(folder, tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("an encrypted archive is made with the system's zip, which is not installed")
    subprocess.run(
        ["zip", "-q", "-r", "-P", "secret", str(tmp_path / "locked.zip"), "."],
        cwd=folder,
        check=True,
    )
    return tmp_path / "locked.zip"


def test_an_encrypted_archive_opens_with_its_password(encrypted, tmp_path):
    assert packed(encrypted, tmp_path, password=b"secret") == PICTURES


def test_without_its_password_the_licence_and_the_variable_are_named(encrypted, tmp_path):
    text = refused_pack(encrypted, tmp_path, password_variable="THINGS_PASSWORD")
    assert "osf.io/jum2f" in text and "licence" in text and "THINGS_PASSWORD" in text


def test_a_wrong_password_names_the_variable_and_not_the_password(encrypted, tmp_path):
    text = refused_pack(encrypted, tmp_path, password=b"guess", password_variable="THINGS_PASSWORD")
    assert "the password in THINGS_PASSWORD is wrong" in text and "guess" not in text


def test_a_wrong_password_is_found_before_anything_is_read(encrypted, tmp_path, monkeypatch):
    def read(*arguments, **options):
        raise AssertionError("a member was read")

    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    assert "is wrong" in refused_pack(encrypted, tmp_path, password=b"guess")


def test_a_wrong_password_that_one_header_lets_pass_is_found_by_the_next(encrypted, tmp_path):
    with zipfile.ZipFile(encrypted) as archive:
        first = next(info for info in archive.infolist() if not info.is_dir())
        for number in range(4000):
            guess = b"%d" % number
            with contextlib.suppress(RuntimeError):
                archive.open(first, pwd=guess).close()
                break
        else:
            raise AssertionError("no guess passes")
    assert "the password in  is wrong" in refused_pack(encrypted, tmp_path, password=guess)


def test_decryption_is_compiled(encrypted, tmp_path):
    packed(encrypted, tmp_path, password=b"secret")
    # zipfile's own is a closure written in Python.
    assert isinstance(zipfile._ZipDecrypter, type)


def photograph(width: int, height: int) -> bytes:
    values = np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG")
    return buffer.getvalue()


SIZES = [(300, 300), (400, 301), (257, 399), (40, 300), (224, 224)]


def test_an_image_packed_at_the_encoders_resolution_is_seen_alike(tmp_path):
    import open_clip

    seen = open_clip.image_transform(224, is_train=False)
    pictures = {f"{width}.jpg": photograph(width, height) for width, height in SIZES}
    source = archive(tmp_path / "a.zip", pictures)
    reduced = packed(source, tmp_path, shorter_side=224)
    for name, content in pictures.items():
        whole, small = (
            Image.open(io.BytesIO(data)).convert("RGB") for data in (content, reduced[name])
        )
        assert min(small.size) == min(224, *whole.size)
        assert np.array_equal(seen(whole), seen(small)), name
    # What is not larger is kept byte for byte.
    assert [name for name in pictures if reduced[name] == pictures[name]] == ["40.jpg", "224.jpg"]


def test_an_image_that_cannot_be_reduced_is_named(tmp_path):
    source = archive(tmp_path / "a.zip", {**PICTURES, "bad.png": b"text"})
    assert "image 'bad.png' cannot be decoded" in refused_pack(source, tmp_path, shorter_side=16)


def test_images_are_loaded_by_name_in_the_order_asked_as_rgb(tmp_path):
    members = {**PICTURES, "grey.png": png(99, "L"), "alpha.png": png(0, "RGBA")}
    packed(archive(tmp_path / "a.zip", members), tmp_path)
    assert list(stimuli.names(tmp_path / "plain.zip")) == sorted(members)
    asked = np.array(["dog/dog_1.png", "grey.png", "cat/cat_1.png", "alpha.png"], object)
    loaded = list(stimuli.load(tmp_path / "plain.zip", asked))
    assert [image.mode for image in loaded] == ["RGB"] * 4
    assert [image.size for image in loaded] == [(4, 3)] * 4
    assert [image.getpixel((0, 0))[0] for image in loaded] == [30, 99, 10, 0]


def test_a_missing_image_is_named_and_the_missing_are_counted(folder, tmp_path):
    packed(folder, tmp_path)
    asked = np.array(["cat/cat_1.png", "cat/cat_7.png", "cat/cat_8.png"], object)
    text = refusal(stimuli.load, tmp_path / "plain.zip", asked)
    assert "'cat/cat_7.png' is missing (2 in all)" in text and "plain.zip" in text


@pytest.mark.parametrize("content", [b"", b"text", png(1)[:40], png(1)[:-32]])
def test_an_unreadable_image_is_named(tmp_path, content):
    packed(archive(tmp_path / "a.zip", {**PICTURES, "bad.png": content}), tmp_path)
    text = refusal(stimuli.load, tmp_path / "plain.zip", np.array(["bad.png"], object))
    assert "'bad.png' cannot be decoded" in text and "plain.zip" in text


def test_a_full_disk_leaves_no_file(tiny_disk, tmp_path):
    source = archive(tmp_path / "a.zip", {"a.png": bytes(40_000), "b.png": bytes(40_000)})
    with pytest.raises(InputError, match=r"images unpack to .* free; make room"):
        stimuli.pack(source, tiny_disk / "plain.zip", RECORD)
    assert list(tiny_disk.iterdir()) == []
