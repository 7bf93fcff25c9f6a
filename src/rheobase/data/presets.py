"""The augmentations of the papers by name: `data.augmentation("cifar", data_set, seed=0)`."""

from collections.abc import Callable

from torch import Tensor

from rheobase.data.augment import Augmentation, Mix, Transform
from rheobase.data.draws import Draws
from rheobase.data.policies import AutoAugment, TrivialAugmentWide
from rheobase.data.samples import DataSet
from rheobase.data.transforms import Affine, Crop, Erase, Flip, OneOf, Roll, Rotate, Shear
from rheobase.names import unknown


def crop_flip(found: DataSet) -> tuple[Transform, ...]:
    """Crop with padding 4, flip."""
    return Crop(4), Flip()


def cifar(found: DataSet) -> tuple[Transform, ...]:
    """CLIF's and ILIF's script on CIFAR: crop with padding 4, cutout (p .5, area .02 to .4), flip."""
    return Crop(4), Erase(), Flip()


def cifar_strong(found: DataSet) -> tuple[Transform, ...]:
    """CLIF's strong augmentation: crop, flip, TrivialAugmentWide, erasing .1 with the mean colour, Mixup or CutMix."""
    mean = tuple(round(value * 255) for value in found.train.mean or (0.0,))
    erase = Erase(0.1, (0.02, 0.33), (0.3, 3.3), log_aspect=True, fill=mean)
    return Crop(4), Flip(), TrivialAugmentWide(), erase


def tiny_imagenet(found: DataSet) -> tuple[Transform, ...]:
    """CLIF on Tiny-ImageNet: flip, AutoAugment with ImageNet's policy, no cutout."""
    return Flip(), AutoAugment("imagenet")


def flip(found: DataSet) -> tuple[Transform, ...]:
    """Flip; on ImageNet the random crop is part of reading."""
    return (Flip(),)


def events(found: DataSet) -> tuple[Transform, ...]:
    """CLIF on CIFAR10-DVS: flip, rotation by up to 15 degrees, alike in all frames."""
    return Flip(), Rotate(15)


def events_strong(found: DataSet) -> tuple[Transform, ...]:
    """CLIF's second script on CIFAR10-DVS: flip, roll by up to 5, and rotation or shear by up to 30 degrees or none."""
    return Flip(), Roll(5), OneOf((unchanged, Rotate(30), Shear(30)))


def handwriting(found: DataSet) -> tuple[Transform, ...]:
    """Digits: turned and sheared by up to 10 degrees, stretched by up to 10 %, shifted by up to 1.5 pixels."""
    return (Affine(),)


def unchanged(values: Tensor, draws: Draws) -> Tensor:
    """The transform that does nothing."""
    return values


def none(found: DataSet) -> tuple[Transform, ...]:
    """Nothing."""
    return ()


PRESETS: dict[str, Callable[[DataSet], tuple[Transform, ...]]] = {
    "none": none,
    "flip": flip,
    "crop-flip": crop_flip,
    "cifar": cifar,
    "cifar-strong": cifar_strong,
    "handwriting": handwriting,
    "tiny-imagenet": tiny_imagenet,
    "imagenet": flip,
    "events": events,
    "events-strong": events_strong,
}
MIXED = ("cifar-strong",)


def augmentation(name: str, found: DataSet, seed: int = 0) -> Augmentation:
    """The augmentation of this name for a data set; an unknown name fails with the nearest known one."""
    if name not in PRESETS:
        raise unknown("augmentation", name, PRESETS)
    return Augmentation(PRESETS[name](found), Mix(found.classes) if name in MIXED else None, seed)
