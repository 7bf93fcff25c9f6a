"""Encodings, batches and splits, against what they promise."""

import pytest
import torch

import rheobase.data as data

IMAGES = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(2, 3, 4) / 24


def test_rows_and_pixels_keep_reading_order():
    rows, pixels = data.Rows()(IMAGES), data.Pixels()(IMAGES)
    assert rows.shape == (3, 2, 4) and torch.equal(rows[1, 0], IMAGES[0, 1])
    assert pixels.shape == (12, 2, 1) and torch.equal(pixels[:, 1, 0], IMAGES[1].flatten())


def test_direct_repeats():
    assert torch.equal(data.Direct(5)(IMAGES), torch.stack([IMAGES] * 5))


def test_poisson_has_the_rate_of_the_value_and_follows_its_generator():
    draw = data.Poisson(20000, torch.Generator().manual_seed(1))(IMAGES[:1])
    assert draw.shape == (20000, 1, 3, 4) and set(draw.unique().tolist()) == {0.0, 1.0}
    assert (draw.mean(0) - IMAGES[:1]).abs().max() < 0.015
    again = data.Poisson(20000, torch.Generator().manual_seed(1))(IMAGES[:1])
    assert torch.equal(draw, again)


def test_poisson_is_silent_at_0_and_fires_always_at_1():
    spikes = data.Poisson(1000)(torch.tensor([[0.0, 1.0]]))
    assert spikes[:, 0, 0].sum() == 0 and spikes[:, 0, 1].sum() == 1000


def test_latency_fires_once_and_the_brighter_the_earlier():
    spikes = data.Latency(5)(torch.tensor([[1.0, 0.5, 0.25, 1e-6, 0.0]]))
    assert spikes.sum(0).tolist() == [[1, 1, 1, 1, 0]]
    assert spikes[:, 0, :4].argmax(0).tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize("timed", [data.Poisson, data.Latency])
def test_values_outside_the_unit_interval_are_refused(timed):
    with pytest.raises(ValueError, match=r"\[0, 1\]; got 0 to 16"):
        timed(4)(torch.tensor([[0.0, 16.0]]))


def test_encodings_by_name():
    assert data.encoding("rows") == data.Rows() and data.encoding("latency", 8) == data.Latency(8)
    with pytest.raises(ValueError, match=r"steps=8"):
        data.encoding("poisson")
    with pytest.raises(ValueError, match=r"Leave it out"):
        data.encoding("pixels", 8)
    with pytest.raises(ValueError, match=r"Did you mean 'latency'"):
        data.encoding("latncy", 8)
    with pytest.raises(ValueError, match=r"at least 1; got 0"):
        data.encoding("direct", 0)


def samples(count=23):
    labels = torch.arange(count) % 3
    return data.Samples(torch.arange(count * 4).reshape(count, 2, 2), labels, groups=torch.arange(count) // 6)


def test_images_without_a_channel_get_one_where_time_is_added():
    """And nothing else changes: the same numbers for networks that flatten them."""
    samples = data.Samples(IMAGES, torch.tensor([0, 1]))
    for encode in (data.Direct(3), data.Poisson(3), data.Latency(3)):
        torch.manual_seed(0)
        found = next(data.batches(samples, encode, 2)).sequence()
        torch.manual_seed(0)
        assert found.shape == (3, 2, 1, 3, 4) and torch.equal(found.squeeze(2), encode(IMAGES))
    assert next(data.batches(samples, data.Rows(), 2)).x.shape == (3, 2, 4)


def test_steps_are_used_or_refused():
    assert data.with_steps(data.Direct(4), 8) == data.Direct(8)
    assert data.with_steps(data.Rows(), None) == data.Rows()
    with pytest.raises(ValueError, match="events: the number of steps follows from the sample; got steps=8"):
        data.with_steps(data.Events(), 8)


def test_batches_resume_at_any_position():
    order = torch.randperm(23, generator=torch.Generator().manual_seed(0))
    whole = list(data.batches(samples(), data.Rows(), 5, order))
    rest = list(data.batches(samples(), data.Rows(), 5, order, start=3))
    assert len(whole) == 5 and len(rest) == 2
    assert all(torch.equal(a.x, b.x) and torch.equal(a.labels, b.labels) for a, b in zip(whole[3:], rest, strict=True))
    assert torch.cat([batch.labels for batch in whole]).equal(samples().labels[order])


def test_pad_and_mask():
    x, lengths = data.pad([torch.ones(2, 3), torch.ones(4, 3)])
    assert x.shape == (4, 2, 3) and lengths.tolist() == [2, 4] and x[2:, 0].sum() == 0
    assert data.valid_steps(lengths, 4).tolist() == [[True, True], [True, True], [False, True], [False, True]]
    with pytest.raises(ValueError, match=r"between 1 and the 3 steps"):
        data.valid_steps(lengths, 3)


def test_a_held_out_fraction_is_stratified_disjoint_and_fixed():
    rest, held = data.hold_out_fraction(samples(300), 0.1)
    assert torch.bincount(held.labels).tolist() == [10, 10, 10]
    both = torch.cat([rest.values, held.values]).flatten(1)[:, 0]
    assert both.unique().numel() == 300
    assert torch.equal(held.values, data.hold_out_fraction(samples(300), 0.1)[1].values)
    assert not torch.equal(held.values, data.hold_out_fraction(samples(300), 0.1, seed=1)[1].values)
    with pytest.raises(ValueError, match=r"between 0 and 1; got 2"):
        data.hold_out_fraction(samples(), 2)


def test_a_held_out_speaker_is_never_in_the_rest():
    rest, held = data.hold_out_group(samples(), 2)
    assert held.groups.unique().tolist() == [2] and 2 not in rest.groups
    with pytest.raises(ValueError, match=r"groups 0, 1, 2, 3"):
        data.hold_out_group(samples(), 9)
