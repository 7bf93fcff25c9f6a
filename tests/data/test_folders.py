"""Folders of images: the ordinary layouts, crops drawn per image, workers that change nothing, damage that is named."""

from pathlib import Path

import numpy as np
import originals
import pytest
import torch
from PIL import Image

import rheobase.data as data
from rheobase.data.images import ImageFiles, decode

RANDOM = np.random.default_rng(0)


def write_image(path: Path, width: int = 60, height: int = 40, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = RANDOM.integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(coarse).resize((width, height)).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of your own, 12 training and 4 test images, one of them grey, one a PNG with transparency."""
    for part, count in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                write_image(tmp_path / f"own/{part}/{name}/{number}.jpg", mode="L" if number == 1 else "RGB")
    write_image(tmp_path / "own/train/dog/odd.png", mode="RGBA")
    return tmp_path / "own"


def test_a_folder_is_read_when_a_batch_needs_it(folder):
    found = data.load("image-folder", path=folder, size=32)
    assert found.class_names == ("cat", "dog") and found.train.labels.tolist() == [0] * 6 + [1] * 7
    assert isinstance(found.train.values, ImageFiles)
    batch = next(data.batches(found.test, found.encoding, 3))
    assert batch.x.shape == (3, 3, 32, 32) and batch.steps == 4
    rest, held = data.hold_out_fraction(found.train, 0.2)
    assert isinstance(held.values, ImageFiles) and not set(held.values.names) & set(rest.values.names)


def test_what_is_hidden_is_no_class_and_no_image(folder):
    write_image(folder / "train/.ipynb_checkpoints/0-checkpoint.jpg")
    (folder / "train/cat/._0.jpg").write_bytes(b"what macOS leaves on foreign disks")
    found = data.load("image-folder", path=folder, size=32)
    assert found.class_names == ("cat", "dog") and found.train.labels.tolist() == [0] * 6 + [1] * 7
    assert not any(b"/." in name for name in found.train.values.names)


def test_evaluation_keeps_the_centre(folder):
    found = data.load("image-folder", path=folder, size=32)
    image = Image.open(folder / "test/cat/0.jpg").convert("RGB")
    side = 40 * 32 / round(32 * 256 / 224)
    box = ((60 - side) / 2, (40 - side) / 2, (60 + side) / 2, (40 + side) / 2)
    expected = np.array(image.resize((32, 32), Image.Resampling.BILINEAR, box=box))
    np.testing.assert_array_equal(found.test.read()[0].permute(1, 2, 0), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(folder, workers):
    found = data.load("image-folder", path=folder, size=16)
    augment, order = data.augmentation("imagenet", found, seed=2), torch.randperm(13)
    options = {"augment": augment, "epoch": 1, "start": 1}
    here = list(data.batches(found.train, found.encoding, 4, order, **options))
    noise = torch.get_rng_state()
    there = list(data.batches(found.train, found.encoding, 4, order, workers=workers, **options))
    assert torch.equal(torch.get_rng_state(), noise), "the workers took from the noise of the network"
    assert len(here) == 3 and all(torch.equal(one.x, other.x) for one, other in zip(here, there, strict=True))
    other_epoch = next(data.batches(found.train, found.encoding, 4, order, augment=augment, epoch=2, start=1))
    assert not torch.equal(other_epoch.x, here[0].x)


def test_random_crops_have_the_usual_areas(tmp_path):
    files = ImageFiles(tmp_path, np.array([b"x"]), 32, 36, area=(0.08, 0.3))  # such areas fit at the first try
    image = Image.new("RGB", (300, 200))
    draws = data.Draws(0, 0, torch.arange(500)).uniform(10, 4).tolist()
    boxes = np.array([files._part(image, tries) for tries in draws])
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 300 and boxes[:, 3].max() <= 200
    share, ratio = wide * tall / 60_000, wide / tall
    assert share.min() > 0.075 and share.max() < 0.305 and 0.18 < share.mean() < 0.2
    assert ratio.min() > 0.73 and ratio.max() < 1.37 and abs(np.log(ratio).mean()) < 0.02


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(folder, workers):
    path = folder / "train/cat/3.jpg"
    path.write_bytes(path.read_bytes()[:200])
    found = data.load("image-folder", path=folder, size=16)
    with pytest.raises(ValueError, match=r"train/cat/3\.jpg is truncated, corrupt, or no image") as raised:
        list(data.batches(found.train, found.encoding, 4, workers=workers))
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)
    told = getattr(raised.value, "__notes__", [""])[0]
    assert ("in decode" in told) == bool(workers), "where it was raised is not lost"


def test_an_image_that_claims_to_be_enormous_is_named(tmp_path):
    write_image(tmp_path / "0.bmp")
    raw = bytearray((tmp_path / "0.bmp").read_bytes())
    raw[18:26] = (100_000).to_bytes(4, "little") * 2  # width and height
    (tmp_path / "0.bmp").write_bytes(raw)
    with pytest.raises(ValueError, match=r"0\.bmp is truncated, corrupt, or no image \(Image size \(10000000000"):
        decode(tmp_path / "0.bmp")


@pytest.mark.parametrize("part", ["train", "test"])
def test_classes_without_images_are_named(folder, part):
    for number in range(7):
        (folder / f"train/bird{number}").mkdir()
        write_image(folder / f"train/bird{number}/0.jpg")
        (folder / f"{part}/bird{number}").mkdir(exist_ok=True)
        (folder / f"{part}/bird{number}/0.jpg").unlink(missing_ok=True)
        (folder / f"{part}/bird{number}/notes.txt").write_text("no image")
    words = r"has classes without images: bird0, bird1, bird2, bird3, bird4 and 2 more\. Put images \(\.jpeg, .* there"
    with pytest.raises(ValueError, match=rf"own/{part} {words}"):
        data.load("image-folder", path=folder)


def test_a_test_class_that_train_lacks_is_named(folder):
    write_image(folder / "test/bird/0.jpg")
    with pytest.raises(ValueError, match=r"test has the class bird, which .*train lacks"):
        data.load("image-folder", path=folder)


def test_a_folder_without_classes_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train is missing or has no folders.*path=FOLDER"):
        data.load("image-folder", tmp_path)


@pytest.mark.parametrize("layout", ["folders", "flat", "kaggle"])
def test_imagenet(tmp_path, layout):
    root = tmp_path / "imagenet" / ("ILSVRC/Data/CLS-LOC" if layout == "kaggle" else "")
    names = ("n01440764", "n01443537")
    table = ["ImageId,PredictionString"]
    for number, name in enumerate(names):
        write_image(root / f"train/{name}/{name}_1.JPEG")
        write_image(root / f"val/{name if layout == 'folders' else ''}/ILSVRC2012_val_0000000{2 - number}.JPEG")
        table.append(f"ILSVRC2012_val_0000000{2 - number},{name} 1 2 3 4")
    if layout != "folders":
        with pytest.raises(FileNotFoundError, match=r"val is flat and .*LOC_val_solution\.csv is missing"):
            data.load("imagenet", tmp_path, partial=True)
        solution = tmp_path / "imagenet/LOC_val_solution.csv"
        for wrong in (table[:-1], [*table[:-1], f"{table[-1].split(',')[0]},n99 1"], ["a,b", "1,2"]):
            solution.write_text("\n".join(wrong))
            with pytest.raises(ValueError, match=r"LOC_val_solution\.csv does not give every image of val a class"):
                data.load("imagenet", tmp_path, partial=True)
        solution.write_text("\n".join(table))
    found = data.load("imagenet", tmp_path, partial=True, size=32)
    assert "2 of 1,281,167 training" in found.note
    assert (found.train.mean, found.train.std) == (found.test.mean, found.test.std) == originals.CONSTANTS["imagenet"]
    assert found.test.labels.tolist() == ([0, 1] if layout == "folders" else [1, 0])
    with pytest.raises(ValueError, match="partial=True"):
        data.load("imagenet", tmp_path)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("RHEOBASE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "tiny-imagenet-200"
    names = ("n02", "n01")
    for name in names:
        for number in range(3):
            write_image(root / f"train/{name}/images/{name}_{number}.JPEG", 64, 64)
    write_image(root / "val/images/val_0.JPEG", 64, 64, "L")
    (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t62\t62\n")
    (root / "wnids.txt").write_text("\n".join(names) + "\n")
    return tmp_path


def test_tiny_imagenet(tiny):
    found = data.load("tiny-imagenet", tiny, partial=True)
    assert found.train.values.shape == (6, 3, 64, 64) and found.train.labels.tolist() == [0] * 3 + [1] * 3
    assert found.test.labels.tolist() == [1] and found.class_names == ("n01", "n02")
    for part in (found.train, found.test):
        assert (part.scale, (part.mean, part.std)) == (1 / 255, originals.CONSTANTS["tiny-imagenet"])
    grey = found.test.values[0]
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[0], grey[2])
    picture = np.array(Image.open(tiny / "tiny-imagenet-200/train/n01/images/n01_0.JPEG"))
    np.testing.assert_array_equal(found.train.values[0].permute(1, 2, 0), picture)
    assert torch.equal(data.load("tiny-imagenet", tiny, partial=True, cache=False).train.values, found.train.values)


def test_tiny_imagenet_damaged(tiny):
    (tiny / "tiny-imagenet-200/val/val_annotations.txt").write_text("val_0.JPEG\tn03\n")
    with pytest.raises(ValueError, match=r"val_annotations\.txt has the class n03, which wnids\.txt lacks"):
        data.load("tiny-imagenet", tiny, partial=True)
    write_image(tiny / "tiny-imagenet-200/train/n01/images/n01_0.JPEG", 60, 64)
    (tiny / "tiny-imagenet-200/val/val_annotations.txt").write_text("val_0.JPEG\tn02\n")
    with pytest.raises(ValueError, match=r"n01_0\.JPEG is \(60, 64\), not 64x64"):
        data.load("tiny-imagenet", tiny, partial=True)
