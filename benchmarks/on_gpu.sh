#!/bin/sh
# Everything that needs a GPU, in one go of about ten minutes: sh benchmarks/on_gpu.sh OUT [training]
# Writes OUT/*.log and OUT/gpu/gpu.json. With `training` also Spiking ResNet-18 of full width, T=4, with LIF and CLIF side
# by side, on the part of CIFAR-10 in RHEOBASE_DATA (16 epochs of 19,000 images).
# Needs python3 with torch for CUDA, triton, pytest and pytest-xdist; SpikingJelly is compared with where it is installed.
out=${1:?where the logs go}
mkdir -p "$out"
export OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1
clock() { echo "$1: $(($(date +%s) - began)) s"; began=$(date +%s); }
began=$(date +%s)

timeout 200 python3 -m benchmarks.gpu --out "$out/gpu" >"$out/gpu.log" 2>&1
cut -c1-300 "$out/gpu.log"
clock benchmarks

if [ "$2" = training ]; then
    for neuron in lif clif; do
        timeout 280 python3 -m rheobase train clif/cifar10-r18 --neuron $neuron --data cifar-10-part --steps 4 \
            --epochs 16 --validation-fraction 0.05 --select last --precision bfloat16 --channels-last --workers 6 \
            --out "$out/train-$neuron" --result "$out/$neuron.json" >"$out/train-$neuron.log" 2>&1 &
    done
    wait
    tail -n 7 "$out"/train-*.log
    clock training
fi

# One thread per process: as many processes as processors, each with as many threads, stand in each other's way.
OMP_NUM_THREADS=1 timeout 240 python3 -m pytest -v -n auto -p no:cacheprovider -o filterwarnings=default >"$out/suite.log" 2>&1
grep -E "(FAILED|ERROR) +tests|passed|failed" "$out/suite.log" | cut -c1-200 | sort -u
clock "test suite"
