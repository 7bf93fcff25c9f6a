"""Objectives: values against loops written out, and padding that changes nothing."""

import math

import pytest
import torch
from torch.nn.functional import log_softmax

from rheobase import data
from rheobase.training import OBJECTIVES, objective

T, B, CLASSES = 5, 3, 4


@pytest.fixture
def readout():
    return torch.randn(T, B, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([1, 0, 3])
LENGTHS = torch.tensor([5, 2, 3])


def nll(readout, t, b):
    return -log_softmax(readout[t, b], 0)[LABELS[b]]


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_every_step_is_the_sum_over_valid_steps(readout, lengths):
    ends = [T] * B if lengths is None else lengths.tolist()
    expected = sum(nll(readout, t, b) for b in range(B) for t in range(ends[b])) / B
    torch.testing.assert_close(objective("every_step").loss(readout, LABELS, lengths), expected)


def test_last_step_reads_the_end_of_each_sequence(readout):
    expected = (nll(readout, 4, 0) + nll(readout, 1, 1) + nll(readout, 2, 2)) / B
    torch.testing.assert_close(objective("last_step").loss(readout, LABELS, LENGTHS), expected)
    whole = torch.full((B,), T)
    torch.testing.assert_close(
        objective("last_step").loss(readout, LABELS, None), objective("last_step").loss(readout, LABELS, whole)
    )


def test_mean_readout_divides_by_each_length(readout):
    mean = torch.stack([readout[: LENGTHS[b], b].mean(0) for b in range(B)])
    expected = -log_softmax(mean, 1)[range(B), LABELS].mean()
    torch.testing.assert_close(objective("mean_readout").loss(readout, LABELS, LENGTHS), expected)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_padding_changes_neither_loss_nor_gradient_nor_prediction(readout, name):
    goal, results = objective(name), []
    for fill in (0.0, 1e3, float("inf"), float("nan")):
        padded = readout.clone()
        for b in range(B):
            padded[LENGTHS[b] :, b] = fill
        padded.requires_grad_()
        value = goal.loss(padded, LABELS, LENGTHS)
        value.backward()
        valid = data.valid_steps(LENGTHS, T)
        results.append((value.detach(), padded.grad[valid], goal.correct(padded.detach(), LABELS, LENGTHS)))
        assert (padded.grad[~valid] == 0).all(), f"{name}: padding of {fill} has a gradient"
    for value, gradient, correct in results[1:]:
        assert torch.equal(value, results[0][0]) and torch.equal(gradient, results[0][1])
        assert correct == results[0][2]


def test_predictions_follow_the_objective():
    readout = torch.tensor([[[9.0, 0.0]], [[0.0, 1.0]]])
    assert objective("mean_readout").correct(readout, torch.tensor([0])) == 1
    assert objective("last_step").correct(readout, torch.tensor([1])) == 1
    for name in OBJECTIVES.keys() - {"last_step"}:
        assert objective(name).correct(readout, torch.tensor([0])) == 1, f"{name} predicts from the mean over time"


def test_options_and_defaults_are_those_of_the_closed_forms():
    silent, label = torch.zeros(4, 1, 2), torch.tensor([0])  # CE = ln 2 and MSE to ones = 1 at every step
    assert objective("tet").loss(silent, label).item() == pytest.approx(0.95 * math.log(2) + 0.05)
    for T_ in (2.0, 4.0):  # both outputs spike at 1: − log softmax = ln 2
        loss = objective("first_spike", {"T": T_, "gamma": 3.0}).loss(silent - 1, label)
        assert loss.item() == pytest.approx(math.log(2) + 3 * (math.exp(1 / T_) - 1))


def test_unknown_loss_names_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'last_step'"):
        objective("laststep")


@pytest.mark.parametrize("lengths", [[0, 2, 3], [6, 2, 3]])
def test_impossible_lengths_are_refused(readout, lengths):
    for goal in OBJECTIVES.values():
        with pytest.raises(ValueError, match=r"between 1 and the 5 steps"):
            goal.loss(readout, LABELS, torch.tensor(lengths))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("tet", {"weight": "x"}, "weight must lie in .* got 'x'"),
        ("tet", {"weight": 1.0, "smoothing": 0.1}, "smoothing is for the cross entropy, which weight 1 leaves out"),
        ("first_spike", {"smoothing": 0.1}, "Unknown option of loss first_spike 'smoothing'"),
        ("first_spike", {"T": 0.0}, "T must be a finite number above 0"),
        ("first_spike", {"gamma": -1.0}, "gamma must be a number >= 0; got -1.0"),
    ],
)
def test_impossible_options_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        objective(name, options)


STEPWISE = ["every_step", "last_step", "mean_readout", "mse", "tet"]


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), True, "x"])
def test_smoothing_leaves_a_part_of_the_label(name, value):
    with pytest.raises(ValueError, match=rf"{name}: smoothing must lie in \[0, 1\); got {value!r}"):
        objective(name, {"smoothing": value})
    objective(name, {"smoothing": 0.5})


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize(
    ("readout", "labels", "message"),
    [
        (torch.zeros(3, 4), LABELS, r"the readout must be \[T, B, classes\].*got shape \(3, 4\)"),
        (torch.zeros(0, 3, 4), LABELS, "the readout must be .* with at least one step"),
        (torch.zeros(5, 2, 4), LABELS, r"labels must be \[2\], or soft ones \[2, 4\]"),
        (torch.zeros(5, 3, 4), torch.zeros(3, 5), r"labels must be \[3\], or soft ones \[3, 4\]"),
        (torch.zeros(5, 3, 4), LABELS.float(), "labels .* must be whole numbers"),
        (torch.zeros(5, 3, 3), LABELS, "labels must lie in 0 ... 2; got 0 ... 3"),
        (torch.zeros(5, 3, 4), LABELS - 1, "labels must lie in 0 ... 3; got -1 ... 2"),
    ],
    ids=["no time", "no steps", "batch", "classes", "floats", "too large", "negative"],
)
def test_what_does_not_fit_is_refused_in_words(name, readout, labels, message):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        objective(name).loss(readout, labels, None)
