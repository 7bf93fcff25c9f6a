"""Colour operations on batches of images, [B, 3, H, W] in bytes, each with one strength per image.

They compute, to the byte, what Pillow does with one image at a time, because the published policies (AutoAugment,
TrivialAugment) were searched and trained with Pillow.
"""

import torch
from torch import Tensor


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """0 is black, 1 the image."""
    return _blend(torch.zeros_like(images), images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """0 is grey, 1 the image."""
    return _blend(_grey(images).expand_as(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """0 is the mean grey of each image, 1 the image."""
    mean = (_grey(images).to(torch.float64).mean((1, 2, 3), keepdim=True) + 0.5).to(torch.uint8)
    return _blend(mean.expand_as(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """0 is the image smoothed over 3x3 (the border stays), 1 the image."""
    kernel = torch.ones(3, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    inner = torch.nn.functional.conv2d(images.to(torch.float32), kernel, groups=3) / 13
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = (inner + 0.5).clamp(0, 255).to(torch.uint8)
    return _blend(smooth, images, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` bits of each byte."""
    mask = 256 - (1 << (8 - bits.long()))
    return images & _each(mask.to(torch.uint8), images)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the bytes at and above the threshold."""
    return torch.where(images < _each(threshold, images), images, 255 - images)


def invert(images: Tensor) -> Tensor:
    """The negative."""
    return 255 - images


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel to 0 to 255."""
    low, high = (value.to(torch.float64) for value in images.flatten(2).aminmax(dim=2, keepdim=True))
    span = (high - low).clamp(min=1)
    scale = torch.full_like(span, 255) / span  # `255 / span` is a rounded reciprocal times 255
    table = (torch.arange(256, device=images.device) * scale - low * scale).clamp(0, 255).floor()
    identity = torch.arange(256, device=images.device, dtype=torch.float64)
    return _look_up(images, torch.where(high > low, table, identity))


def equalize(images: Tensor) -> Tensor:
    """Give every channel a flat histogram."""
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    brightest = flat.amax(2, keepdim=True)
    step = (flat.shape[2] - counts.gather(2, brightest)) // 255
    below = counts.cumsum(2) - counts
    table = (step // 2 + below) // step.clamp(min=1)
    identity = torch.arange(256, device=images.device)
    return _look_up(images, torch.where(step > 0, table.clamp(max=255), identity))


def _look_up(images: Tensor, table: Tensor) -> Tensor:
    """Replace each byte by its entry in the table of its image and channel, [B, 3, 256]."""
    return table.to(torch.uint8).gather(2, images.flatten(2).long()).view_as(images)


def _grey(images: Tensor) -> Tensor:
    """Luma, [B, 1, H, W]: Pillow's weights in 16 bits, rounded."""
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).to(torch.uint8).unsqueeze(1)


def _blend(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    """start + factor (end − start), cut to a byte: below 1 between the images, above 1 beyond the second."""
    start, end = start.to(torch.float32), end.to(torch.float32)
    return (start + _each(factor.to(torch.float32), start) * (end - start)).clamp(0, 255).to(torch.uint8)


def _each(numbers: Tensor, images: Tensor) -> Tensor:
    return numbers.to(images.device).view(-1, 1, 1, 1)
