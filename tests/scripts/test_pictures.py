"""The experiments' CIFAR-10: two archives in a folder that the user names, decoded once."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pictures
import pytest
from knobs import classifier_options
from PIL import Image

from fl_node.errors import DataUnusable

COLOURED = classifier_options(channels=3, size=32)


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(pictures.CIFAR10_VARIABLE, str(tmp_path))
    monkeypatch.setattr(pictures, "user_cache_path", lambda name: tmp_path / "cache")
    pictures._whole.cache_clear()
    for split, count in (("train", 3), ("test", 2)):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as zipped:
            for label, shade in (("cat", 0), ("dog", 200)):
                for number in range(count):
                    zipped.writestr(f"{split}/{label}/{number}.png", _picture(shade))
    return tmp_path


def _picture(shade: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 32), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def test_folders_are_classes_and_splits_stay_apart(archives: Path) -> None:
    train = pictures.training_pictures("cifar10", COLOURED)
    assert train.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.pixels_NCHW.shape == (6, 3, 32, 32)
    assert train.pixels_NCHW[:, 0, 0, 0].tolist() == [0, 0, 0, 200, 200, 200]
    assert len(pictures.unseen_pictures("cifar10", COLOURED).pixels_NCHW) == 4


def test_a_subset_is_the_same_each_time(archives: Path) -> None:
    some = [pictures.training_pictures("cifar10", COLOURED, 4).labels_N for _ in range(2)]
    assert np.array_equal(*some)
    assert len(some[0]) == 4


def test_an_archive_is_decoded_once(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pictures.training_pictures("cifar10", COLOURED)
    pictures._whole.cache_clear()
    monkeypatch.setattr(pictures, "load_images", None)
    again = pictures.training_pictures("cifar10", COLOURED)
    assert np.array_equal(first.pixels_NCHW, again.pixels_NCHW)


def test_without_the_archives_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pictures.CIFAR10_VARIABLE, raising=False)
    pictures._whole.cache_clear()
    with pytest.raises(DataUnusable, match=pictures.CIFAR10_VARIABLE):
        pictures.training_pictures("cifar10", COLOURED)
