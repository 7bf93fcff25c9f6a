# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The Triton kernels of neurons without coupling: each lane walks the sorted input of its sample by itself.

A program takes BLOCK neurons of one sample from input to input; the lanes that fire in between go on from spike to
spike while the others wait. Spikes are kept per neuron, `room` at most; a program that needs more says so.
"""

import triton
import triton.language as tl

from rheobase.exact.gpu_loop import load3, store3


@triton.jit(do_not_specialize=["K", "NP", "N", "room"])
def forward(
    par, w_in, times, ids, state, spikes, counts, marks, counted, slopes, full, K, NP, N, room,
    BLOCK: tl.constexpr, INTERVAL: tl.constexpr, STORE: tl.constexpr, FLOW: tl.constexpr, WAIT: tl.constexpr,
    KICK: tl.constexpr, RESET: tl.constexpr, SLOPE: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    programs = tl.num_programs(1)
    lane = tl.arange(0, BLOCK)
    neuron = part * BLOCK + lane
    lives = neuron < N
    p0 = tl.load(par)
    p1 = tl.load(par + 1)
    p2 = tl.load(par + 2)
    T = tl.load(par + 3)
    place = sample * programs + part
    spikes += (sample * N + neuron) * room
    marks += place * (K // INTERVAL + 1) * 3 * BLOCK
    counted += place * (K // INTERVAL + 1) * BLOCK
    a, b, c = load3(state + place * 3 * BLOCK, lane, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    short = tl.zeros([BLOCK], tl.int32)
    flattest = tl.full([BLOCK], float("inf"), tl.float64)
    now = T * 0.0
    k = 0
    while now < T:
        if STORE:  # noqa: SIM102 (Triton drops the branch by this alone)
            if k % INTERVAL == 0:
                store3(marks + (k // INTERVAL) * 3 * BLOCK, lane, a, b, c, BLOCK)
                tl.store(counted + (k // INTERVAL) * BLOCK + lane, count)
        coming = tl.load(times + sample * K + k, mask=k < K, other=float("inf"))
        horizon = tl.minimum(coming, T)
        at = tl.zeros([BLOCK], tl.float64) + now
        firing = 1
        while firing > 0:
            left = WAIT(a, b, c, p0, p1, p2)
            fires = lives & (at + left < horizon)
            short = tl.where(fires & (count >= room), 1, short)
            fires = fires & (count < room)
            sa, sb, sc, _k, _s = FLOW(a, b, c, tl.where(fires, left, 0.0), p0, p1, p2)
            flattest = tl.minimum(flattest, tl.where(fires, SLOPE(sa, sb, sc, p0, p1, p2), float("inf")))
            ra, rb, rc = RESET(sa, sb, sc)
            a = tl.where(fires, ra, a)
            b = tl.where(fires, rb, b)
            c = tl.where(fires, rc, c)
            at = tl.where(fires, at + left, at)
            tl.store(spikes + count, at, mask=fires)
            count += tl.where(fires, 1, 0)
            firing = tl.sum(tl.where(fires, 1, 0))
        a, b, c, _k, _s = FLOW(a, b, c, horizon - at, p0, p1, p2)
        who = tl.load(ids + sample * K + k, mask=coming < T, other=0)
        w = tl.load(w_in + who * NP + neuron, mask=neuron < tl.where(coming < T, N, 0), other=0.0)
        a, b, c = KICK(a, b, c, w, p0, p1, p2)  # nothing where w is 0
        now = horizon
        k += 1
    store3(state + place * 3 * BLOCK, lane, a, b, c, BLOCK)
    tl.store(counts + sample * N + neuron, count, mask=lives)
    tl.store(slopes + place, tl.min(flattest))
    tl.store(full + place, tl.max(short))


@triton.jit
def stretch(spikes, count, begun, started, until, a, b, c, p0, p1, p2, lives, FLOW: tl.constexpr, RESET: tl.constexpr):
    """The last flow of an interval that ends at `until`: from the last of `count` spikes, or where none is left since
    `begun`, from the interval's start. Returns (whether from a spike, when, the state at its end, K, scale)."""
    inner = lives & (count > begun)
    since = tl.load(spikes + count - 1, mask=inner, other=0.0)
    since = tl.where(inner, since, started)
    fa, fb, fc, _k, _s = FLOW(a, b, c, since - started, p0, p1, p2)  # only what a reset leaves alone counts
    ra, rb, rc = RESET(fa, fb, fc)
    a = tl.where(inner, ra, a)
    b = tl.where(inner, rb, b)
    c = tl.where(inner, rc, c)
    a, b, c, keep, scale = FLOW(a, b, c, until - since, p0, p1, p2)
    return inner, since, a, b, c, keep, scale


@triton.jit(do_not_specialize=["K", "NP", "N", "room"])
def backward(
    par, w_in, times, ids, spikes, counts, marks, counted, scratch, begun, pulls, adjoint, gw_in, g_times,
    lengths, K, NP, N, room,
    BLOCK: tl.constexpr, INTERVAL: tl.constexpr, FLOW: tl.constexpr, FLOW_BACK: tl.constexpr, KICK: tl.constexpr,
    KICK_BACK: tl.constexpr, RESET: tl.constexpr, SPIKE_BACK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    programs = tl.num_programs(1)
    lane = tl.arange(0, BLOCK)
    neuron = part * BLOCK + lane
    lives = neuron < N
    p0 = tl.load(par)
    p1 = tl.load(par + 1)
    p2 = tl.load(par + 2)
    T = tl.load(par + 3)
    place = sample * programs + part
    spikes += (sample * N + neuron) * room
    pulls += (sample * N + neuron) * room
    marks += place * (K // INTERVAL + 1) * 3 * BLOCK
    counted += place * (K // INTERVAL + 1) * BLOCK
    scratch += place * INTERVAL * 3 * BLOCK
    begun += place * INTERVAL * BLOCK
    g = tl.load(adjoint + place * 2 * BLOCK + lane)
    h = tl.load(adjoint + place * 2 * BLOCK + BLOCK + lane)
    count = tl.load(counts + sample * N + neuron, mask=lives, other=0)
    total = count
    inputs = tl.load(lengths + sample)
    times += sample * K
    ids += sample * K
    block = inputs // INTERVAL
    while block >= 0:
        low = block * INTERVAL
        flows = tl.minimum(low + INTERVAL, inputs + 1) - low
        a, b, c = load3(marks + block * 3 * BLOCK, lane, BLOCK)
        seen = tl.load(counted + block * BLOCK + lane)
        tl.debug_barrier()  # nobody reads what the block before kept any more
        i = 0
        while i < flows:
            k = low + i
            store3(scratch + i * 3 * BLOCK, lane, a, b, c, BLOCK)
            tl.store(begun + i * BLOCK + lane, seen)
            started = tl.load(times + k - 1, mask=k > 0, other=0.0)
            horizon = tl.load(times + k, mask=k < inputs, other=0.0)
            horizon = tl.where(k < inputs, horizon, T)
            first = seen
            firing = 1
            while firing > 0:
                when = tl.load(spikes + seen, mask=lives & (seen < total), other=float("inf"))
                fires = when < horizon
                seen += tl.where(fires, 1, 0)
                firing = tl.sum(tl.where(fires, 1, 0))
            _i, _t, a, b, c, _k, _s = stretch(
                spikes, seen, first, started, horizon, a, b, c, p0, p1, p2, lives, FLOW, RESET
            )
            who = tl.load(ids + k, mask=k < inputs, other=0)
            w = tl.load(w_in + who * NP + neuron, mask=neuron < tl.where(k < inputs, N, 0), other=0.0)
            a, b, c = KICK(a, b, c, w, p0, p1, p2)
            i += 1
        tl.debug_barrier()
        i = flows - 1
        while i >= 0:
            k = low + i
            started = tl.load(times + k - 1, mask=k > 0, other=0.0)
            horizon = tl.load(times + k, mask=k < inputs, other=0.0)
            until = tl.zeros([BLOCK], tl.float64) + tl.where(k < inputs, horizon, T)
            a, b, c = load3(scratch + i * 3 * BLOCK, lane, BLOCK)
            first = tl.load(begun + i * BLOCK + lane)
            inner, since, ea, eb, ec, keep, scale = stretch(
                spikes, count, first, started, until, a, b, c, p0, p1, p2, lives, FLOW, RESET
            )
            who = tl.load(ids + k, mask=k < inputs, other=0)
            row = who * NP + neuron
            kicked = neuron < tl.where(k < inputs, N, 0)
            w = tl.load(w_in + row, mask=kicked, other=0.0)
            kg, kh, gw, moved = KICK_BACK(ea, eb, ec, w, g, h, p0, p1, p2)
            tl.atomic_add(g_times + sample * K + k, tl.sum(tl.where(kicked, moved, 0.0)), mask=k < inputs)
            tl.atomic_add(gw_in + row, gw, mask=kicked)
            g = tl.where(kicked, kg, g)
            h = tl.where(kicked, kh, h)
            g, h = FLOW_BACK(g, h, keep, scale, until - since, p0, p1, p2)
            while tl.sum(tl.where(inner, 1, 0)) > 0:
                ended = inner
                until = tl.where(ended, since, until)
                count -= tl.where(ended, 1, 0)
                pull = tl.load(pulls + count, mask=ended, other=0.0)
                inner, since, ea, eb, ec, keep, scale = stretch(
                    spikes, count, first, started, until, a, b, c, p0, p1, p2, lives, FLOW, RESET
                )
                inner = inner & ended
                sg, sh, _p = SPIKE_BACK(ea, eb, ec, g, h, pull, p0, p1, p2)
                fg, fh = FLOW_BACK(sg, sh, keep, scale, until - since, p0, p1, p2)
                g = tl.where(ended, fg, g)
                h = tl.where(ended, fh, h)
            i -= 1
        block -= 1
    tl.store(adjoint + place * 2 * BLOCK + lane, g)
    tl.store(adjoint + place * 2 * BLOCK + BLOCK + lane, h)
