#!/bin/sh
# Makes a Python environment with Rheobase and the libraries it is compared with: sh benchmarks/peers.sh [FOLDER]
#
# torch stays the version of constraints.txt. SpikingJelly and Norse ask for torchvision and torchaudio, which have no
# build for every torch and are not imported by what is measured here; so the peers come without their dependencies,
# and what they do import is named below. On Linux, pip's own torch brings CUDA: add
#   --index-url https://download.pytorch.org/whl/cpu
# to the line that installs torch where no CPU build is found first.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$HOME/.cache/rheobase/peers}
python3 -m venv "$folder"
pip() { "$folder/bin/python" -m pip install --quiet --constraint "$here/constraints.txt" "$@"; }

pip torch numpy setuptools scipy matplotlib tqdm tyro rich safetensors h5py
pip tensorboard loguru requests scienceplots packaging pandas nir optax equinox jaxtyping jax==0.10.2
"$folder/bin/python" -m pip install --quiet --no-deps spikingjelly==2.0.0 snntorch==1.0.0 norse==1.1.0 nirtorch==2.6 jaxpike==0.1.4
"$folder/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable "$here"
"$folder/bin/python" -W ignore -c "
import importlib.metadata, jaxpike, norse.torch, rheobase, snntorch, torch
import spikingjelly.activation_based.neuron
for name in ('torch', 'spikingjelly', 'snntorch', 'norse', 'jaxpike', 'jax', 'rheobase'):
    print(name, importlib.metadata.version(name))
"
