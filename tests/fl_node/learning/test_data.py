"""Pictures in: the digits, folders, and what can be wrong with them."""

import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from knobs import gan_options
from PIL import Image

from fl_node.errors import DataUnusable
from fl_node.learning import Images, load_images
from fl_node.learning import data as data_module
from fl_node.learning.data import load_test_images, split_held_out, verify_images

GREY = gan_options()
COLOUR = gan_options(channels=3)


def write_picture(path, colour=(200, 200, 200), size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_the_documented_formats_are_read_and_no_others(tmp_path):
    """Pillow opens EPS as well, by starting Ghostscript on whatever lies in the folder."""
    picture = Image.new("RGB", (40, 30), (255, 0, 0))
    for ending in ("png", "jpg", "webp", "tiff", "bmp", "gif"):
        picture.save(tmp_path / f"picture.{ending}")
    assert len(load_images(f"folder:{tmp_path}", COLOUR).pixels_NCHW) == 6
    picture.save(tmp_path / "picture.eps")
    with pytest.warns(UserWarning, match="1 of 7 files left out"):
        assert len(load_images(f"folder:{tmp_path}", COLOUR).pixels_NCHW) == 6


def test_digits_come_with_labels_and_fill_the_range():
    digits = load_images("digits", GREY)
    assert digits.pixels_NCHW.shape == (1498, 1, 32, 32)
    assert digits.pixels_NCHW.dtype == np.uint8
    assert (digits.pixels_NCHW.min(), digits.pixels_NCHW.max()) == (0, 255)
    assert min(np.bincount(digits.labels_N)) == 141


def test_nobody_trains_on_test_digits():
    train, test = load_images("digits", GREY), load_test_images("digits", GREY)
    assert len(train.pixels_NCHW) + len(test.pixels_NCHW) == 1797
    assert min(np.bincount(test.labels_N)) == 25, "every class is measured"
    seen = {pixels.tobytes() for pixels in train.pixels_NCHW}
    assert not seen & {pixels.tobytes() for pixels in test.pixels_NCHW}


def test_a_folder_of_test_pictures_is_taken_whole(tmp_path):
    write_picture(tmp_path / "1.png")
    assert len(load_test_images(f"folder:{tmp_path}", GREY).pixels_NCHW) == 1


def test_a_folder_with_sub_folders_has_classes(tmp_path):
    write_picture(tmp_path / "cat" / "1.png", colour=(255, 0, 0))
    write_picture(tmp_path / "ape" / "1.png", colour=(0, 0, 255))
    images = load_images(f"folder:{tmp_path}", COLOUR)
    assert images.pixels_NCHW.shape == (2, 3, 32, 32)
    assert images.labels_N.tolist() == [0, 1]
    assert images.pixels_NCHW[:, :, 16, 16].tolist() == [[0, 0, 255], [255, 0, 0]]


@pytest.mark.parametrize("load", [load_images, load_test_images])
def test_a_grey_task_takes_no_colours_and_a_colour_task_takes_grey(tmp_path, load):
    write_picture(tmp_path / "1.png")
    write_picture(tmp_path / "2.png", colour=(250, 40, 40))
    with pytest.raises(DataUnusable, match=r"2\.png: the picture has colours.* data\.channels = 3"):
        load(f"folder:{tmp_path}", GREY)
    assert len(load(f"folder:{tmp_path}", COLOUR).pixels_NCHW) == 2


def test_grey_that_was_saved_in_colour_is_grey(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).convert("RGB").save(tmp_path / "1.jpg", quality=60)
    assert load_images(f"folder:{tmp_path}", GREY).pixels_NCHW.shape == (1, 1, 32, 32)


def test_a_flat_folder_has_no_classes(tmp_path):
    write_picture(tmp_path / "1.png")
    images = load_images(f"folder:{tmp_path}", GREY)
    assert images.labels_N is None
    assert images.subset(np.array([0])).labels_N is None


def test_other_files_are_left_out_with_a_warning(tmp_path):
    write_picture(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").write_text("not even counted")
    (tmp_path / "cut.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    with pytest.warns(UserWarning, match="2 of 3 files left out"):
        images = load_images(f"folder:{tmp_path}", GREY)
    assert len(images.pixels_NCHW) == 1


def test_a_decompression_bomb_is_left_out_before_it_is_decoded(tmp_path):
    write_picture(tmp_path / "1.png")
    (tmp_path / "bomb.png").write_bytes(png_that_claims(30_000, 30_000))
    with pytest.warns(UserWarning, match="1 of 2 files left out"):
        load_images(f"folder:{tmp_path}", GREY)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + checksum

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataUnusable, match="holds no pictures"):
        load_images(f"folder:{tmp_path}", GREY)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataUnusable, match="is not a folder"):
        load_images(f"folder:{tmp_path / 'nowhere'}", GREY)


@pytest.mark.parametrize("spec", ["imagenet", "folder:", "digits:2", ""])
def test_an_unknown_data_set_is_refused_with_what_is_allowed(spec):
    with pytest.raises(DataUnusable, match="allowed: digits, cifar10, mnist"):
        load_images(spec, GREY)


@pytest.fixture
def torchvision(monkeypatch):
    """Stands in for the real one, which takes seconds to import; the test marked slow uses that."""
    module = SimpleNamespace(datasets=SimpleNamespace(CIFAR10=None, MNIST=None, FashionMNIST=None))
    monkeypatch.setitem(sys.modules, "torchvision", module)
    return module


def test_a_failing_download_is_one_line(torchvision, tmp_path):
    def unreachable(*args, **kwargs):
        raise RuntimeError("Error downloading train-images:\nTried a mirror")

    torchvision.datasets.MNIST = unreachable
    with pytest.raises(DataUnusable, match="'mnist' could not be downloaded") as caught:
        load_images("mnist", GREY, cache=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_downloaded_set_is_brought_to_the_models_shape(torchvision, tmp_path):
    picture = Image.new("RGB", (32, 32), (9, 9, 9))
    torchvision.datasets.CIFAR10 = lambda folder, train, download: [(picture, 4 if train else 5)]
    images = load_images("cifar10", gan_options(channels=1, size=64), cache=tmp_path)
    assert images.pixels_NCHW.shape == (1, 1, 64, 64)
    assert (images.pixels_NCHW == 9).all()
    assert images.labels_N.tolist() == [4]
    assert load_test_images("cifar10", GREY, cache=tmp_path).labels_N.tolist() == [5]


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["cifar10", "mnist", "fashion-mnist"])
def test_a_cache_that_is_no_folder_is_refused(tmp_path, spec):
    (tmp_path / "file").touch()
    with pytest.raises(DataUnusable, match=f"'{spec}' could not be downloaded"):
        load_images(spec, GREY, cache=tmp_path / "file")


@given(st.integers(4, 500), st.floats(0.01, 0.99), st.integers(0, 2**63 - 1))
def test_held_out_samples_are_never_trained_on(count, share, seed):
    held_out, kept = split_held_out(count, share, seed)
    assert sorted([*held_out, *kept]) == list(range(count))
    assert min(len(held_out), len(kept)) >= 2
    assert abs(len(held_out) - count * share) <= 2


def test_the_first_held_out_samples_stand_for_all_of_them():
    """Folders come sorted by class, and only the first so many held-out pictures are measured on."""
    held_out, _ = split_held_out(10_000, 0.5, 1)
    assert abs(held_out[:1000].mean() - 5_000) < 500


def test_too_few_pictures_to_hold_any_out_are_refused():
    with pytest.raises(DataUnusable, match="3 pictures; at least 4"):
        split_held_out(data_module.MIN_IMAGES - 1, 0.1, 0)


def test_pictures_of_another_shape_than_the_models_are_refused():
    images = Images(np.zeros((4, 1, 32, 32), np.uint8), None)
    verify_images(images, GREY)
    with pytest.raises(
        DataUnusable, match=r"expected uint8 \(3, 32, 32\), got uint8 \(1, 32, 32\)"
    ):
        verify_images(images, COLOUR)
