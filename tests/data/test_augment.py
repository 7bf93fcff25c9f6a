"""Augmentation: each transform against its definition or Pillow; the same bits after a resume, in any process."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

import rheobase.data as data
from rheobase.data import Augmentation, Direct, Draws, Mix, Samples, colour, policies
from rheobase.data.policies import AutoAugment, TrivialAugmentWide, apply
from rheobase.data.presets import PRESETS
from rheobase.data.transforms import Affine, Crop, Erase, Flip, OneOf, Roll, Rotate, Shear, affine, matrices, rotation

COUNT = 40


def pictures(count: int = COUNT, side: int = 32) -> torch.Tensor:
    """Smooth colours with noise, from the dark to the bright; the first is one flat colour."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") * 220
    noise = torch.randint(0, 30, smooth.shape, generator=generator)
    found = (smooth + noise).to(torch.uint8)
    found[0] = 77
    return found


IMAGES = pictures()


def draws(seed: int = 0) -> Draws:
    return Draws(seed, 0, torch.arange(COUNT))


def pillow(change) -> torch.Tensor:
    """`change(image, number)` of every picture."""
    arrays = [np.array(change(Image.fromarray(image.permute(1, 2, 0).numpy()), k)) for k, image in enumerate(IMAGES)]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


FACTORS = torch.linspace(0, 2, COUNT)
ENHANCERS = {
    "brightness": (colour.brightness, ImageEnhance.Brightness),
    "saturation": (colour.saturation, ImageEnhance.Color),
    "contrast": (colour.contrast, ImageEnhance.Contrast),
    "sharpness": (colour.sharpness, ImageEnhance.Sharpness),
}


@pytest.mark.parametrize("name", ENHANCERS)
def test_colours_are_pillows_to_the_byte(name):
    ours, theirs = ENHANCERS[name]
    assert torch.equal(ours(IMAGES, FACTORS), pillow(lambda image, k: theirs(image).enhance(float(FACTORS[k]))))


def test_tables_are_pillows_to_the_byte():
    bits, threshold = torch.arange(COUNT) % 8 + 1, torch.linspace(0, 255, COUNT)
    assert torch.equal(colour.posterize(IMAGES, bits), pillow(lambda image, k: ImageOps.posterize(image, int(bits[k]))))
    solarized = pillow(lambda image, k: ImageOps.solarize(image, float(threshold[k])))
    assert torch.equal(colour.solarize(IMAGES, threshold), solarized)
    assert torch.equal(colour.autocontrast(IMAGES), pillow(lambda image, k: ImageOps.autocontrast(image)))
    assert torch.equal(colour.equalize(IMAGES), pillow(lambda image, k: ImageOps.equalize(image)))
    assert torch.equal(colour.invert(IMAGES), pillow(lambda image, k: ImageOps.invert(image)))


@pytest.mark.parametrize("smooth", [False, True])
def test_rotation_is_pillows(smooth):
    angles = torch.linspace(-135, 135, COUNT).double()
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    theirs = pillow(lambda image, k: image.rotate(float(angles[k]), method)).int()
    apart = (affine(IMAGES, rotation(angles), smooth).int() - theirs).abs() > (1 if smooth else 0)
    assert apart.float().mean() < 2e-3, "only pixels on an edge between two may differ"


def test_affine_is_made_of_its_parts():
    """One part at a time: nothing, a turn, a shear, a stretch, a shift, each at most as far as was said."""
    assert torch.equal(Affine(0, 0, 0, 0)(IMAGES, draws()), IMAGES)
    stream = draws()
    turn, slope, wide, tall, right, down = (stream.uniform() * 2 - 1 for _ in range(6))
    parts = {
        Affine(20, 0, 0, 0): rotation(turn * 20),
        Affine(0, 20, 0, 0): matrices(COUNT, xy=(slope * torch.pi / 9).tan()),
        Affine(0, 0, 0.2, 0): matrices(COUNT, xx=1 + wide / 5, yy=1 + tall / 5),
        Affine(0, 0, 0, 3): matrices(COUNT, x=right * 3, y=down * 3),
    }
    for transform, matrix in parts.items():
        assert torch.equal(transform(IMAGES, draws()), affine(IMAGES, matrix, smooth=True))


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("shear_x", lambda level: (1, level, 0, 0, 1, 0)),
        ("shear_y", lambda level: (1, 0, 0, level, 1, 0)),
        ("translate_x", lambda level: (1, 0, -int(level), 0, 1, 0)),
        ("translate_y", lambda level: (1, 0, 0, 0, 1, -int(level))),
    ],
)
def test_moves_are_pillows(name, matrix):
    level = torch.linspace(-0.97, 0.97, COUNT) * (20 if name.startswith("t") else 1)
    theirs = pillow(lambda image, k: image.transform(image.size, Image.Transform.AFFINE, matrix(float(level[k]))))
    assert (apply(name, IMAGES, level, smooth=False) != theirs).float().mean() < 2e-3


def test_crop_is_a_window_of_the_padded_image():
    padded = torch.nn.functional.pad(IMAGES, (4, 4, 4, 4))
    windows = {}
    for image, cut in zip(padded, Crop(4)(IMAGES, draws()), strict=True):
        places = [(y, x) for y in range(9) for x in range(9) if torch.equal(image[:, y : y + 32, x : x + 32], cut)]
        assert places, "not a window"
        windows[places[0]] = True
    assert len(windows) > 20


def test_flip_mirrors_about_half():
    flipped = Flip()(IMAGES, draws())
    mirrored = (flipped == IMAGES.flip(-1)).flatten(1).all(1)
    assert (mirrored | (flipped == IMAGES).flatten(1).all(1)).all() and 10 < mirrored.sum() < 30


def test_roll_keeps_every_pixel():
    rolled = Roll(5)(IMAGES, draws())
    assert torch.equal(rolled.flatten(2).sort()[0], IMAGES.flatten(2).sort()[0]) and not torch.equal(rolled, IMAGES)
    shifts = {
        (y, x) for y in range(-5, 6) for x in range(-5, 6) if torch.equal(IMAGES[5].roll((y, x), (1, 2)), rolled[5])
    }
    assert len(shifts) == 1
    spot = torch.zeros(2000, 1, 11, 11)
    spot[:, :, 5, 5] = 1
    places = Roll(5)(spot, Draws(0, 0, torch.arange(2000))).nonzero()[:, 2:]
    assert {tuple(place) for place in places.tolist()} == {(y, x) for y in range(11) for x in range(11)}


def test_rotation_is_even_up_to_its_degrees_either_way():
    """The angle of the white half of a disc, seen from the centre: its mean direction was the left."""
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    half = ((x < 0) & (x**2 + y**2 < 256)).float().expand(2000, 1, 33, 33)
    turned = Rotate(60)(half, Draws(0, 0, torch.arange(2000)))[:, 0]
    angle = torch.atan2((turned * y).sum((1, 2)), -(turned * x).sum((1, 2))).rad2deg()
    assert angle.abs().max() < 61 and angle.max() > 58 and angle.min() < -58
    assert abs(angle.mean()) < 3 and abs(angle.abs().mean() - 30) < 2


def test_erasing_has_the_published_boxes():
    white = torch.full((4000, 1, 32, 32), 255, dtype=torch.uint8)
    erased = Erase(0.5, fill=(0.0,))(white, Draws(0, 0, torch.arange(4000))) == 0
    touched = erased.flatten(1).any(1)
    assert abs(touched.float().mean() - 0.5) < 0.03
    boxes = erased[touched][:, 0]
    tall, wide = boxes.any(2).sum(1), boxes.any(1).sum(1)
    edges = [boxes.any(axis)[:, end].float().mean() for axis in (1, 2) for end in (0, -1)]
    assert min(edges) > 0.03 and max(edges) < 0.1, "boxes reach all four borders"
    assert torch.equal(tall * wide, boxes.flatten(1).sum(1)), "not a box"
    share, aspect = tall * wide / 1024, tall / wide
    assert share.max() <= 0.4 and 0.18 < share.mean() < 0.22 and aspect.min() > 0.3 and aspect.max() < 3.1


def test_frames_of_a_recording_move_together():
    frame = IMAGES[:, :2].unsqueeze(1).expand(-1, 5, -1, -1, -1).contiguous()
    for transform in (Affine(), Crop(), Flip(), Roll(), Rotate(30), Shear(30), Erase(1.0), OneOf((Roll(), Rotate()))):
        moved = transform(frame, draws(1))
        assert moved.shape == frame.shape and not torch.equal(moved, frame)
        assert torch.equal(moved[:, :1].expand_as(moved), moved), f"{transform} treats time steps differently"


@pytest.mark.parametrize("policy", [TrivialAugmentWide(), AutoAugment("cifar"), AutoAugment("imagenet")])
def test_policies_change_most_images_each_in_its_own_way(policy):
    once, again = policy(IMAGES, draws(0)), policy(IMAGES, draws(1))
    changed = (once != IMAGES).flatten(1).any(1)
    assert changed.float().mean() > 0.6 and not torch.equal(once, again)
    alone = policy(IMAGES[7:8], Draws(0, 0, torch.tensor([7])))
    assert torch.equal(alone[0], once[7]), "the neighbours matter"


def grey(side: int = 32, value: int = 128) -> torch.Tensor:
    return torch.full((4000, 1, side, side), value, dtype=torch.uint8).expand(-1, 3, -1, -1).contiguous()


def learned(monkeypatch, pair: str, images: torch.Tensor) -> torch.Tensor:
    """What AutoAugment makes of images with one pair of operations as its whole policy."""
    monkeypatch.setitem(policies.POLICIES, "cifar", pair)
    return AutoAugment("cifar")(images, Draws(0, 0, torch.arange(len(images))))


def test_learned_operations_have_their_probability_and_either_sign(monkeypatch):
    """Strength 9 is the paper's largest: 150 pixels of 331 (14 of 32), and a brightness of .1 or 1.9."""
    inverted = (learned(monkeypatch, "invert 2 - invert 0 -", grey(2)) == 127).flatten(1)
    assert torch.equal(inverted.all(1), inverted.any(1)) and abs(inverted.all(1).float().mean() - 0.2) < 0.02
    bright = learned(monkeypatch, "brightness 10 9 identity 0 -", grey(2, 100))[:, 0, 0, 0]
    assert bright.unique().tolist() == [10, 190] and abs((bright == 10).float().mean() - 0.5) < 0.03
    moved = learned(monkeypatch, "translate_x 10 9 identity 0 -", grey())[:, 0, 0] > 0
    assert moved.unique(dim=0).int().tolist() == [[0] * 14 + [1] * 18, [1] * 18 + [0] * 14]


def test_every_one_of_the_31_wide_strengths_is_drawn():
    """Of an even grey, only the largest shift (32 pixels, 2 images of 14 x 31) leaves nothing and only brightness
    changes the rest as a whole: darker as often as brighter, down to .01 and up to 1.99."""
    seen = TrivialAugmentWide()(grey(), Draws(0, 0, torch.arange(4000))).flatten(1)
    assert 5 < (seen == 0).all(1).sum() < 40
    even = seen[(seen == seen[:, :1]).all(1), 0].int()
    dark, light = even[(even > 0) & (even < 125)], even[even > 128]
    assert dark.min() == 1 and light.max() == 254 and len(dark.unique()) > 25 and len(light.unique()) > 25
    assert 100 < len(dark) < 180 and 100 < len(light) < 180


DIGESTS = {"cifar": "dd87f7cd0f115b34", "imagenet": "4693708086ccee48"}


@pytest.mark.parametrize("name", DIGESTS)
def test_policies_are_the_published_ones(name):
    """The digest is of the 25 lines of torchvision's table of this policy (commit 0352a47), in the same words."""
    lines = [" ".join(line.split()) for line in policies.POLICIES[name].split(",")]
    assert len(lines) == 25
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == DIGESTS[name]


def test_presets_are_those_of_the_papers():
    """CIFAR: pad-4 crop, flip, random erasing (p .5, area .02-.4, aspect .4-2.5). Strong: Mixup(.2) or CutMix(1),
    TrivialAugmentWide, erasing .1. Tiny-ImageNet: AutoAugment, no cutout."""
    made = {name: data.augmentation(name, SET) for name in PRESETS}
    assert set(made["cifar"].transforms) == {Crop(4), Flip(0.5), Erase(0.5, (0.02, 0.4), (0.4, 2.5))}
    assert made["cifar"].mix is None and made["cifar-strong"].mix == Mix(10, mixup=0.2, cutmix=1.0)
    *rest, erase = made["cifar-strong"].transforms
    assert set(rest) == {Crop(4), Flip(0.5), TrivialAugmentWide()}
    assert isinstance(erase, Erase) and erase.probability == 0.1
    assert made["tiny-imagenet"].transforms == (Flip(0.5), AutoAugment("imagenet"))


def test_the_share_of_a_mix_is_a_beta_number_and_mixup_half_of_all():
    """Beta(α, α) has the mean 1/2 and the variance 1/(4 (2 α + 1))."""
    images, labels = torch.zeros(2, 1, 32, 32), torch.tensor([0, 1])
    images[1] = 1

    def mixed(mix):
        return zip(*(mix(images, labels, 0, 0, number) for number in range(1500)), strict=True)

    for mix, alpha in ((Mix(2, cutmix=0), 0.2), (Mix(2, mixup=2, cutmix=0), 2.0)):
        shares = torch.stack([targets[0, 0] for targets in list(mixed(mix))[1]])
        assert abs(shares.mean() - 0.5) < 0.04 and shares.var().item() == pytest.approx(1 / (8 * alpha + 4), rel=0.08)
    blended = [bool((x[0] == x[0, 0, 0, 0]).all()) for x in next(mixed(Mix(2)))]
    assert abs(sum(blended) / len(blended) - 0.5) < 0.05


def test_mixing_keeps_shares_and_targets_together():
    images = torch.stack([torch.full((3, 8, 8), float(k)) for k in range(5)])
    labels = torch.arange(5)
    for mix in (Mix(5, mixup=0.2, cutmix=0), Mix(5, mixup=0, cutmix=1)):
        for number in range(20):
            mixed, targets = mix(images, labels, seed=0, epoch=0, number=number)
            assert torch.allclose(mixed.mean((1, 2, 3)), targets @ torch.arange(5.0), atol=1e-5)
            assert torch.allclose(targets.sum(1), torch.ones(5)) and torch.equal(mixed[4], images[4])
            pairs = {(0, 1), (1, 0), (2, 3), (3, 2), (4, 4)}
            assert {(i, int(j)) for i in range(5) for j in targets[i].nonzero()} <= pairs | {(k, k) for k in range(5)}
    with pytest.raises(ValueError, match="one α must be above 0"):
        Mix(5, mixup=0, cutmix=0)


SAMPLES = Samples(pictures(70), torch.arange(70) % 10, 1 / 255, mean=(0.5,) * 3, std=(0.2,) * 3)
SET = data.DataSet("pictures", 10, SAMPLES, SAMPLES, Direct(2))
ORDER = torch.randperm(70, generator=torch.Generator().manual_seed(1))


def run(name: str, **options) -> list[data.Batch]:
    augment = data.augmentation(name, SET, seed=5)
    return list(data.batches(SAMPLES, SET.encoding, 16, ORDER, augment=augment, epoch=3, **options))


@pytest.mark.parametrize("name", PRESETS)
def test_a_resumed_epoch_sees_the_same_bits(name):
    torch.manual_seed(0)
    whole = run(name)
    torch.manual_seed(1)
    for start in (2, 4):
        for before, after in zip(whole[start:], run(name, start=start), strict=True):
            assert torch.equal(before.x, after.x) and torch.equal(before.labels, after.labels)
            assert before.targets is None or torch.equal(before.targets, after.targets)


@pytest.mark.parametrize("name", PRESETS)
def test_ranks_together_see_what_one_process_sees(name):
    """Six ranks: a sixth of 16 would part neighbours; of the last batch, 6 samples, three ranks get none."""
    whole = run(name)
    shards = [run(name, shard=(rank, 6)) for rank in range(6)]
    assert len(shards[5][-1].labels) == 0
    for batch, *parts in zip(whole, *shards, strict=True):
        assert torch.equal(torch.cat([part.x for part in parts]), batch.x)
        assert all(part.total == len(batch.labels) for part in parts)


def test_seed_epoch_and_number_of_the_batch_change_the_share_of_a_mix():
    def shares(seed, epoch):
        augment = Augmentation(mix=Mix(10, mixup=1, cutmix=0), seed=seed)
        found = data.batches(SAMPLES, SET.encoding, 16, augment=augment, epoch=epoch)
        return [batch.targets[0].max().item() for batch in found]

    assert len({*shares(0, 0), *shares(1, 0), *shares(0, 1)}) == 15 and shares(0, 1) == shares(0, 1)


def test_an_augmentation_by_name_follows_its_seed():
    augments = [data.augmentation("cifar", SET, seed=seed) for seed in (1, 1, 2)]
    one, same, other = (next(data.batches(SAMPLES, SET.encoding, 70, augment=augment)).x for augment in augments)
    assert torch.equal(one, same) and (one != other).flatten(1).any(1).float().mean() > 0.9


def test_a_thread_ahead_changes_nothing_and_ends_with_its_reader():
    whole, ahead = run("cifar"), run("cifar", workers=2)
    assert all(torch.equal(one.x, other.x) for one, other in zip(whole, ahead, strict=True))
    first = next(iter(data.batches(SAMPLES, SET.encoding, 16, workers=1)))
    assert torch.equal(first.labels, SAMPLES.labels[:16])


def test_an_error_of_a_worker_reaches_the_reader():
    def fails(values, draws):
        raise ValueError("this transform fails")

    with pytest.raises(ValueError, match="this transform fails"):
        list(data.batches(SAMPLES, SET.encoding, 16, augment=Augmentation((fails,)), workers=1))


def test_validation_samples_keep_their_ids():
    rest, held = data.hold_out_fraction(SAMPLES, 0.2)
    ids = torch.cat([rest.positions(), held.positions()])
    assert ids.sort()[0].tolist() == list(range(70))
    assert torch.equal(SAMPLES[held.positions()].labels, held.labels)
    augment = data.augmentation("cifar", SET)
    alone = next(data.batches(held, SET.encoding, 1, augment=augment)).x
    among = next(data.batches(SAMPLES, SET.encoding, 1, held.positions()[:1], augment=augment)).x
    assert torch.equal(alone, among), "a sample's augmentation depends on the split it is in"


def test_an_unknown_name_fails_with_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown augmentation 'cifer'. Did you mean 'cifar'"):
        data.augmentation("cifer", SET)


def test_what_is_sent_to_a_device_is_finished_there_alike():
    """The meta device has no numbers, but shapes and types: everything after reading must run on it."""
    here, there = run("cifar-strong"), run("cifar-strong", device=torch.device("meta"))
    for one, other in zip(here, there, strict=True):
        assert other.x.is_meta and other.targets is not None and other.targets.is_meta and other.labels.is_meta
        assert (one.x.shape, one.x.dtype, one.total) == (other.x.shape, other.x.dtype, other.total)


def test_a_pass_can_be_sent_to_another_process():
    import pickle

    from rheobase.data.batches import _Pass

    one_pass = _Pass(SAMPLES, ORDER.split(16), data.augmentation("cifar-strong", SET), 1, (0, 1))
    assert torch.equal(pickle.loads(pickle.dumps(one_pass)).batch(2).x, one_pass.batch(2).x)


@pytest.mark.parametrize(("count", "ids"), [(3, [0, 4, 9]), (1, [0]), (10, list(range(10))), (99, list(range(10)))])
def test_a_few_samples_come_from_all_over_a_sorted_set(count, ids):
    samples = Samples(torch.zeros(10, 2), torch.arange(10) // 4)
    assert samples.spread(count).positions().tolist() == ids
