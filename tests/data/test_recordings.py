"""Event recordings: what each augmentation does, that training alone sees it, and that it follows (seed, epoch, id)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rheobase import data
from rheobase.data.augment import Augmentation
from rheobase.data.augment_events import CHANGES, EventList, augmented, blend
from rheobase.data.recordings import Recordings, steps_used

STRENGTHS = {
    "warp": 0.1,
    "delay": 50.0,
    "stretch": 0.05,
    "shift": 20.0,
    "jitter": 3.0,
    "drop": 0.3,
    "silence_channels": 100.0,
    "silence_time": 100.0,
    "noise": 0.1,
}


@pytest.fixture(scope="module")
def tone():
    """A recording of 2,000 events between 100 and 500 ms in channels 200 to 400."""
    generator = np.random.default_rng(0)
    return EventList(
        generator.uniform(100, 500, 2000).astype(np.float32), generator.uniform(200, 400, 2000).astype(np.float32)
    )


def rounds(tone, name, strength, count=200):
    return [augmented(tone, {name: strength}, np.random.default_rng(seed)) for seed in range(count)]


def test_every_change_is_tried_and_leaves_its_input_alone(tone):
    assert set(STRENGTHS) == set(CHANGES)
    before = [values.copy() for values in tone]
    for name, strength in STRENGTHS.items():
        times, channels = augmented(tone, {name: strength}, np.random.default_rng(1))
        assert times.dtype == channels.dtype == np.float32 and len(times) == len(channels), name
        same = len(times) == len(tone.times) and np.array_equal(times, tone.times)
        assert not (same and np.array_equal(channels, tone.channels)), f"{name} changes nothing"
        assert all(np.array_equal(old, new) for old, new in zip(before, tone, strict=True)), name


@pytest.mark.parametrize("name", STRENGTHS)
def test_strength_0_and_no_events_change_nothing(tone, name):
    untouched = CHANGES[name](tone, 0.0, np.random.default_rng(0))
    assert all(np.allclose(old, new, rtol=1e-6) for old, new in zip(tone, untouched, strict=True))
    nothing = EventList(np.empty(0, np.float32), np.empty(0, np.float32))
    assert len(CHANGES[name](nothing, STRENGTHS[name], np.random.default_rng(0)).times) == 0


def test_shift_warp_and_delay_move_the_whole_recording(tone):
    moves = np.array([shifted.channels - tone.channels for shifted in rounds(tone, "shift", 20.0)])
    assert np.ptp(moves, axis=1).max() < 1e-3 and 15 < moves[:, 0].std() < 21 and abs(moves).max() <= 40.001
    ratios = np.array([warped.times / tone.times for warped in rounds(tone, "warp", 0.1)])
    assert np.ptp(ratios, axis=1).max() < 1e-5 and 0.08 < np.log(ratios[:, 0]).std() < 0.105
    delays = np.array([delayed.times - tone.times for delayed in rounds(tone, "delay", 50.0)])
    assert np.ptp(delays, axis=1).max() < 1e-3 and delays.min() >= 0 and delays.max() <= 50.001
    assert delays.min() < 2 and delays.max() > 48 and abs(delays.mean() - 25) < 4, "even between 0 and the strength"


def test_stretch_keeps_the_middle_and_jitter_is_each_events_own(tone):
    spreads = np.array([one.channels.std() / tone.channels.std() for one in rounds(tone, "stretch", 0.05)])
    means = np.array([one.channels.mean() for one in rounds(tone, "stretch", 0.05)])
    assert abs(means - tone.channels.mean()).max() < 0.01 and 0.035 < spreads.std() < 0.055
    noise = augmented(tone, {"jitter": 3.0}, np.random.default_rng(0)).channels - tone.channels
    assert 2.8 < noise.std() < 3.2 and abs(noise.mean()) < 0.3


def test_drop_and_silence_remove_and_noise_adds(tone):
    kept = np.array([len(one.times) for one in rounds(tone, "drop", 0.5)]) / len(tone.times)
    assert 0.45 < kept.min() < 0.55 and kept.max() > 0.98 and abs(kept.mean() - 0.75) < 0.03
    for name, row in (("silence_channels", 1), ("silence_time", 0)):
        widths, top = [], tone[row].max()
        for one in rounds(tone, name, 60.0):
            missing = np.setdiff1d(tone[row], one[row])
            if len(missing):
                assert not ((one[row] > missing.min()) & (one[row] < missing.max())).any()
                widths.append(np.ptp(missing) if missing.min() < top - 60 else 30)  # the end of others is cut
        assert max(widths) <= 60 and min(widths) < 6 and max(widths) > 54 and abs(np.mean(widths) - 30) < 5
    louder = augmented(tone, {"noise": 0.1}, np.random.default_rng(0))
    assert len(louder.times) == 2200 and np.array_equal(louder.times[:2000], tone.times)
    for old, new in zip(tone, louder, strict=True):
        noise = new[2000:]
        assert old.min() <= noise.min() < old.min() + 10 and old.max() - 10 < noise.max() <= old.max()


def test_a_blend_takes_half_of_each_around_one_mean_time(tone):
    late = EventList(tone.times + 300, tone.channels + 250)
    mixed = blend(tone, late, np.random.default_rng(0))
    low, high = mixed.channels < 425, mixed.channels >= 425
    assert 900 < low.sum() < 1100 and 900 < high.sum() < 1100
    assert abs(mixed.times[low].mean() - mixed.times[high].mean()) < 20, "the later one was not laid on the first"


def recordings(strengths=None):
    times = [[0.0, 0.044, 0.2], [0.999, 1.2], []]
    channels = [[0, 699, 5], [5, 6], []]
    made = Recordings.of(
        [np.array(t, np.float32) for t in times], [np.array(c, np.uint16) for c in channels], 700, 250, 4000
    )
    return made if strengths is None else made.augmented(strengths, torch.zeros(3, dtype=torch.long))


def test_frames_are_binned_exactly_and_outside_events_cut():
    frames = recordings().read()
    assert frames.nonzero().tolist() == [[0, 0, 0], [0, 11, 699], [0, 50, 5], [1, 249, 5]]
    assert recordings().lengths().tolist() == steps_used(frames).tolist() == [51, 250, 1]
    assert frames.transpose(0, 1).is_contiguous(), "networks want time outermost"
    chosen = recordings()[torch.tensor([1, 0])].read()
    assert torch.equal(chosen, frames[[1, 0]])


def test_an_event_that_hardly_moves_stays_in_its_channel():
    moved = recordings({"jitter": 0.05}).read(data.Draws(0, 0, torch.arange(3)))
    assert torch.equal(moved, recordings().read())


def test_what_a_blend_moves_before_the_start_is_not_heard():
    """The second recording's mean lies 390 ms after the first's: its first events would come before 0."""
    both = [np.array([0.1, 0.12, 0.14]), np.linspace(0.02, 1.0, 99)], [np.full(3, 1), np.full(99, 2)]
    mixed = Recordings.of(*both, 700, 250, 4000).augmented({"blend": 1.0}, torch.zeros(2, dtype=torch.long))
    heard = torch.cat([mixed.read(data.Draws(0, epoch, torch.arange(2)))[:1] for epoch in range(20)])
    assert heard[:, :, 2].any(), "never blended with the other"
    last = (120 + 490) // 4
    assert not heard[:, last + 1 :].any(), "events from before the start sound at the end"


def test_every_millisecond_falls_into_its_own_bin():
    times = (np.arange(1000) / 1000).astype(np.float32)
    one = Recordings.of([times], [np.zeros(1000, np.uint16)], 700, 1000, 1000)
    assert one.read()[0, :, 0].sum() == 1000, "a floor of float32 times moves some events one bin down"


def test_delays_move_each_channel_by_its_own_steps_also_out_of_hearing():
    delays = np.zeros(700, np.int32)
    delays[[5, 699]] = 6, 3
    late = replace(recordings(), delays=delays)
    assert late.read().nonzero().tolist() == [[0, 0, 0], [0, 14, 699], [0, 56, 5]]
    assert late.lengths().tolist() == [57, 1, 1]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"Unknown event augmentation 'shft'. Did you mean 'shift'\?"):
        recordings({"shft": 3})
    with pytest.raises(ValueError, match="drop must be between 0 and 1; got 2"):
        recordings({"drop": 2})
    with pytest.raises(ValueError, match="shift must be 0 or above; got -1"):
        recordings({"shift": -1})


@pytest.fixture(scope="module")
def spoken():
    """24 real recordings of the Heidelberg Digits' test part, which is the shorter file to read."""
    import h5py

    from rheobase.data.catalog import default_root

    path = default_root() / "hd-cochlea/hd_test.h5"
    if not path.exists():
        pytest.skip("needs the real data set file hd-cochlea/hd_test.h5: point RHEOBASE_DATA at a folder that has it")
    with h5py.File(path) as file:
        times, units = file["spikes/times"][:24], file["spikes/units"][:24]
    made = Recordings.of(list(times), list(units), 700, 250, 4000)
    return data.Samples(made, torch.arange(24) % 20, lengths=made.lengths())


def passes(samples, order=None, epoch=0, seed=0, start=0, size=8):
    order = torch.arange(24) if order is None else order
    augment = Augmentation(seed=seed) if samples.values.strengths else None
    return list(data.batches(samples, data.encoding("events"), size, order, start, augment=augment, epoch=epoch))


@pytest.mark.data
def test_augmentation_of_real_speech_follows_seed_epoch_and_recording(spoken):
    training = replace(spoken, values=spoken.values.augmented({**STRENGTHS, "delay": 20.0}, spoken.labels))
    first = passes(training)
    again, shuffled = passes(training), passes(training, torch.arange(23, -1, -1), size=24)[0]
    together = torch.cat([batch.x for batch in first], 1)
    assert torch.equal(together, torch.cat([batch.x for batch in again], 1))
    assert torch.equal(together, shuffled.x.flip(1)), "another place in the order must not change a recording"
    assert torch.equal(passes(training, start=2)[0].x, first[2].x), "a resumed epoch sees what it would have seen"
    for other in ({"epoch": 1}, {"seed": 1}):
        changed = torch.cat([batch.x for batch in passes(training, **other)], 1)
        assert (changed != together).any(0).any(1).all(), f"the same augmentation with another {other}"
    assert torch.equal(torch.cat([batch.lengths for batch in first]), steps_used(together.transpose(0, 1)))
    plain = torch.cat([batch.x for batch in passes(spoken)], 1)
    assert (plain != together).any(0).any(1).all() and torch.equal(plain, spoken.values.read().transpose(0, 1).float())


@pytest.mark.data
def test_shifted_speech_keeps_its_shape(spoken):
    shifted = spoken.values.augmented({"shift": 15.0}, spoken.labels)
    plain, moved = spoken.values.read().float(), shifted.read(data.Draws(0, 0, torch.arange(24))).float()
    before, after = (torch.nn.functional.normalize(frames.sum(1), dim=1) for frames in (plain, moved))
    best = torch.stack([(torch.roll(before, k, 1) * after).sum(1) for k in range(-31, 32)]).amax(0)
    assert best.min() > 0.97, "a shift by one number leaves the spectrum as it was, elsewhere"
    assert torch.equal(plain.sum((1, 2)) >= moved.sum((1, 2)), torch.ones(24, dtype=torch.bool))


@pytest.mark.data
def test_blends_are_with_the_same_class_alone(spoken):
    labels = torch.arange(24) % 2
    blended = spoken.values.augmented({"blend": 1.0}, labels)
    draws = [data.Draws(0, epoch, torch.arange(24)) for epoch in range(8)]
    heard, plain = torch.stack([blended.read(one) for one in draws]).any(0), spoken.values.read().bool()
    kept = (heard & plain).sum((1, 2)) / plain.sum((1, 2))
    assert kept.min() > 0.9, "eight blends hold nearly every event of the recording itself"
    assert (heard.sum((1, 2)) > 1.5 * plain.sum((1, 2))).float().mean() > 0.8, "and many of others"
    alone = spoken.values.augmented({"blend": 1.0}, torch.arange(24)).read(draws[0]).bool()
    assert not (alone & ~plain).any(), "the only one of its class is blended with itself"
