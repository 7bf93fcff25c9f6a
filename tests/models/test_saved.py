"""Models in files: there and back, other neurons, and every way in which a file can be wrong."""

import json
import os
import struct
import subprocess
import sys

import pytest
import safetensors.torch
import torch

import rheobase as rb
from tests.models.small import NETWORKS, images, network


def file_with(path, change) -> bytes:
    """The bytes of a safetensors file with its metadata changed by `change`."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + raw[8 + size :]


@pytest.fixture
def stored(tmp_path):
    model = network("cnn5", "lif", neuron_options={"tau": 1.5, "surrogate": rb.surrogate.ATan(3.0)})
    model(images())  # moves the running statistics
    rb.models.save(model, tmp_path / "model.safetensors")
    return model.eval(), tmp_path / "model.safetensors"


@pytest.mark.parametrize("name", [*NETWORKS, "recurrent"])
def test_every_model_comes_back(name, tmp_path):
    if name == "recurrent":
        model, x = rb.models.create(name, "lif", in_channels=6, hidden=(4, 3)), torch.randn(5, 2, 6)
    else:
        model, x = network(name, "lif", image_size=(32, 33)), torch.randn(1, 2, 2, 32, 33)
    rb.models.save(model, tmp_path / "m.safetensors")
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = rb.models.load(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before) and not again.training
    with torch.no_grad():
        assert torch.equal(model.eval()(x), again(x))
    assert again.config.model == name


def test_options_and_buffers_come_back(stored):
    model, path = stored
    again = rb.models.load(path)
    assert again.features.conv1.neuron.surrogate == rb.surrogate.ATan(3.0) and again.features.conv1.neuron.tau == 1.5
    assert again.features.conv1.norm.num_batches_tracked == 1
    with torch.no_grad():
        assert torch.equal(model(images()), again(images()))


def test_weights_run_with_another_neuron(stored):
    _, path = stored
    other = rb.models.load(path, neuron="clif", neuron_options={})
    assert isinstance(other.features.conv1.neuron, rb.CLIF)
    with pytest.raises(ValueError, match=r"does not fit the model: features.conv1.neuron.w is missing"):
        rb.models.load(path, neuron="plif", neuron_options={})
    with pytest.raises(ValueError, match=r"classifier.weight is \(5, 8\), not \(6, 8\)"):
        rb.models.load(path, num_classes=6)


def test_a_factory_is_asked_for_again(tmp_path):
    model = network("cnn5", lambda: rb.LIF(tau=1.5))
    rb.models.save(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="saved with a factory; load it with neuron="):
        rb.models.load(tmp_path / "m.safetensors")
    again = rb.models.load(tmp_path / "m.safetensors", neuron=lambda: rb.LIF(tau=1.5))
    with torch.no_grad():
        assert torch.equal(model.eval()(images()), again(images()))


def test_truncated_files_are_refused(stored, tmp_path):
    raw = stored[1].read_bytes()
    for size in (0, 4, 100, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut.safetensors").write_bytes(raw[:size])
        with pytest.raises(ValueError, match=r"cut.safetensors is truncated or corrupt"):
            rb.models.load(tmp_path / "cut.safetensors")


def test_a_flipped_bit_is_noticed(stored):
    raw = bytearray(stored[1].read_bytes())
    raw[-1000] ^= 1
    stored[1].write_bytes(raw)
    with pytest.raises(ValueError, match="corrupt: its weights do not have the checksum"):
        rb.models.load(stored[1])


WRONG = [
    (lambda metadata: metadata.update(format="other"), "was not written by rb.models.save"),
    (
        lambda metadata: metadata.update(config='{"model": "cnn6", "neuron": "lif", "options": {}}'),
        "Did you mean 'cnn5'",
    ),
    (lambda metadata: metadata.update(config="{"), "config in its metadata cannot be read"),
    (lambda metadata: metadata.pop("config"), "config in its metadata cannot be read"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_metadata_is_refused(stored, change, words):
    stored[1].write_bytes(file_with(stored[1], change))
    with pytest.raises(ValueError, match=words):
        rb.models.load(stored[1])


def test_the_result_of_a_run_says_what_reads_it(tmp_path):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "weights.safetensors", {"config": "{}"})
    for path, words in ((tmp_path / "weights.safetensors", "holds the weights of a run"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=rf"{words}.* rb.training.restore_task"):
            rb.models.load(path)


def test_other_files_and_models_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        rb.models.load(tmp_path / "nothing.safetensors")
    with pytest.raises(ValueError, match=r"only models of rb.models.create can be saved"):
        rb.models.save(torch.nn.Linear(2, 2), tmp_path / "m.safetensors")
    model = network("cnn5", "lif")
    model.config.options["odd"] = object()
    with pytest.raises(ValueError, match="the options cannot be saved"):
        rb.models.save(model, tmp_path / "m.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(stored):
    """A process that may write 4 kB to a file cannot save; what was there stays, and nothing else does."""
    before = stored[1].read_bytes()
    code = (
        "import resource, signal, sys, rheobase as rb; model = rb.models.load(sys.argv[1]); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "rb.models.save(model, sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(stored[1])], capture_output=True, text=True)
    assert done.returncode and "OSError" in done.stderr
    assert stored[1].read_bytes() == before and os.listdir(stored[1].parent) == [stored[1].name]
