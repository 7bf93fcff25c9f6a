# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The Triton kernels of coupled neurons: one program takes one sample from event to event, and back.

All neurons of a sample are the lanes of its program, rows of BLOCK numbers; the log has room for `room` events per
sample, and a program that needs more says so. Pieces of a neuron (FLOW, WAIT, ...) are functions: see qif_gpu.py.
"""

import triton
import triton.language as tl

INPUT, SPIKE, ARRIVAL = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
FINE, TOO_MANY, OVERFLOW = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
ROOM, RUNNING = tl.constexpr(3), tl.constexpr(4)


@triton.jit
def load3(pointer, lane, BLOCK: tl.constexpr):
    return tl.load(pointer + lane), tl.load(pointer + BLOCK + lane), tl.load(pointer + 2 * BLOCK + lane)


@triton.jit
def store3(pointer, lane, a, b, c, BLOCK: tl.constexpr):
    tl.store(pointer + lane, a)
    tl.store(pointer + BLOCK + lane, b)
    tl.store(pointer + 2 * BLOCK + lane, c)


@triton.jit
def under_way(due, oldest, n, lane, BLOCK: tl.constexpr):
    """(time of the next spike to arrive, its place in the log, the first place that is still to arrive)."""
    inside = tl.min(tl.full([BLOCK], float("inf"), tl.float64))
    source = n
    first = n
    at = oldest
    while at < n:
        places = at + lane
        when = tl.load(due + places, mask=places < n, other=float("inf"))
        soonest = tl.min(when)
        source = tl.where(soonest < inside, tl.min(tl.where(when == soonest, places, n)), source)
        inside = tl.minimum(inside, soonest)
        first = tl.minimum(first, tl.min(tl.where(when < float("inf"), places, n)))
        at += BLOCK
    return inside, source, first


@triton.jit(do_not_specialize=["K", "N", "room", "limit"])
def forward(
    par, w_in, w_net, times, ids, delays, state, log_time, log_dt, due, log_kind, log_id, log_source, log_rank,
    marks, slopes, lengths, status, K, N, room, limit,
    BLOCK: tl.constexpr, INTERVAL: tl.constexpr, STORE: tl.constexpr, DELAYED: tl.constexpr,
    FLOW: tl.constexpr, WAIT: tl.constexpr, KICK: tl.constexpr, RESET: tl.constexpr, SLOPE: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    p0 = tl.load(par)
    p1 = tl.load(par + 1)
    p2 = tl.load(par + 2)
    T = tl.load(par + 3)
    log = sample * room
    marks += sample * (room // INTERVAL + 1) * 3 * BLOCK
    a, b, c = load3(state + sample * 3 * BLOCK, lane, BLOCK)
    count = tl.zeros([BLOCK], tl.int32)
    flattest = tl.full([BLOCK], float("inf"), tl.float64)
    now = T * 0.0
    n = 0
    happened = 0
    following = 0
    oldest = 0
    result = RUNNING
    while result == RUNNING:
        if STORE:  # noqa: SIM102 (Triton drops the branch by this alone)
            if n % INTERVAL == 0:
                store3(marks + (n // INTERVAL) * 3 * BLOCK, lane, a, b, c, BLOCK)
        coming = tl.load(times + sample * K + following, mask=following < K, other=float("inf"))
        is_input = following < K
        source = following
        if DELAYED:
            tl.debug_barrier()
            inside, place, oldest = under_way(due + log, oldest, n, lane, BLOCK)
            is_input = is_input & (coming <= inside)
            source = tl.where(is_input, following, place)
            coming = tl.minimum(coming, inside)
        horizon = tl.minimum(coming, T)
        left = tl.where(lane < N, WAIT(a, b, c, p0, p1, p2), float("inf"))
        soonest = tl.min(left)
        first = tl.min(tl.where(left == soonest, lane, BLOCK - 1))
        fires = now + soonest < horizon
        dt = tl.where(fires, soonest, horizon - now)
        a, b, c, _k, _s = FLOW(a, b, c, dt, p0, p1, p2)
        now = tl.where(fires, now + soonest, horizon)
        over = (fires == 0) & (coming >= T)
        own = (fires != 0) | is_input  # an arrival is no event of its own
        full = own & (happened >= limit)
        result = tl.where(over, FINE, tl.where(full, TOO_MANY, tl.where(n >= room, ROOM, RUNNING)))
        alive = result == RUNNING
        is_input = is_input & (fires == 0)
        kicks = alive & (is_input == 0)  # through w_net: an arrival, or a spike where there are no delays
        who = tl.load(ids + sample * K + following, mask=alive & is_input, other=0).to(tl.int32)
        if DELAYED:
            kicks = kicks & (fires == 0)
            who = tl.where(kicks, tl.load(log_id + log + source, mask=kicks, other=0), who)
        who = tl.where(fires, first, who)
        row = who.to(tl.int64) * BLOCK + lane
        w = tl.load(w_in + row, mask=lane < tl.where(alive & is_input, N, 0), other=0.0)
        w += tl.load(w_net + row, mask=lane < tl.where(kicks, N, 0), other=0.0)
        spiker = lane == tl.where(fires & alive, first, -1)
        flattest = tl.minimum(flattest, tl.where(spiker, SLOPE(a, b, c, p0, p1, p2), float("inf")))
        a, b, c = KICK(a, b, c, w, p0, p1, p2)  # nothing where w is 0: for the sender, and where nothing arrives
        ra, rb, rc = RESET(a, b, c)
        a = tl.where(spiker, ra, a)
        b = tl.where(spiker, rb, b)
        c = tl.where(spiker, rc, c)
        kind = tl.where(fires, SPIKE, tl.where(is_input, INPUT, ARRIVAL))
        tl.store(log_time + log + n, now, mask=alive)
        tl.store(log_dt + log + n, dt, mask=alive)
        tl.store(log_kind + log + n, kind, mask=alive)
        tl.store(log_id + log + n, who, mask=alive)
        tl.store(log_source + log + n, source, mask=alive)
        tl.store(log_rank + log + n, tl.sum(tl.where(spiker, count, 0)), mask=alive)
        if DELAYED:
            later = now + tl.load(delays + first, mask=fires, other=0.0)
            tl.store(due + log + n, tl.where(fires, later, float("inf")), mask=alive)
            tl.store(due + log + source, float("inf"), mask=kicks)
        count += tl.where(spiker, 1, 0)
        following += tl.where(alive & is_input, 1, 0)
        n += tl.where(alive, 1, 0)
        happened += tl.where(alive & own, 1, 0)
    store3(state + sample * 3 * BLOCK, lane, a, b, c, BLOCK)
    spoilt = tl.sum(tl.where(lane < N, a * 0.0 + b * 0.0 + c * 0.0, 0.0)) != 0.0
    tl.store(status + sample, tl.where((result == FINE) & spoilt, OVERFLOW, result))
    tl.store(lengths + sample, n)
    tl.store(slopes + sample, tl.min(flattest))


@triton.jit(do_not_specialize=["K", "N", "room"])
def backward(
    par, w_in, w_net, log_time, log_dt, log_kind, log_id, log_source, marks, scratch, lengths, pulls, adjoint,
    gw_in, gw_net, g_times, g_delays, K, N, room,
    BLOCK: tl.constexpr, INTERVAL: tl.constexpr, DELAYED: tl.constexpr, FLOW: tl.constexpr,
    FLOW_BACK: tl.constexpr, KICK: tl.constexpr, KICK_BACK: tl.constexpr, RESET: tl.constexpr,
    SPIKE_BACK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    p0 = tl.load(par)
    p1 = tl.load(par + 1)
    p2 = tl.load(par + 2)
    T = tl.load(par + 3)
    log = sample * room
    marks += sample * (room // INTERVAL + 1) * 3 * BLOCK
    scratch += sample * INTERVAL * 3 * BLOCK
    g = tl.load(adjoint + sample * 2 * BLOCK + lane)
    h = tl.load(adjoint + sample * 2 * BLOCK + BLOCK + lane)
    n = tl.load(lengths + sample)
    block = n // INTERVAL
    while block >= 0:
        low = block * INTERVAL
        flows = tl.minimum(low + INTERVAL, n + 1) - low
        a, b, c = load3(marks + block * 3 * BLOCK, lane, BLOCK)
        tl.debug_barrier()  # nobody reads what the block before kept any more
        i = 0
        while i < flows:
            store3(scratch + i * 3 * BLOCK, lane, a, b, c, BLOCK)
            k = log + low + i
            alive = low + i < n
            dt = tl.load(log_dt + k, mask=alive, other=0.0)
            kind = tl.load(log_kind + k, mask=alive, other=-1)
            who = tl.load(log_id + k, mask=alive, other=0)
            a, b, c, _k, _s = FLOW(a, b, c, dt, p0, p1, p2)
            row = who.to(tl.int64) * BLOCK + lane
            sends = alive & (kind != INPUT)
            if DELAYED:
                sends = sends & (kind == ARRIVAL)
            w = tl.load(w_in + row, mask=lane < tl.where(kind == INPUT, N, 0), other=0.0)
            w += tl.load(w_net + row, mask=lane < tl.where(sends, N, 0), other=0.0)
            a, b, c = KICK(a, b, c, w, p0, p1, p2)
            ra, rb, rc = RESET(a, b, c)
            spiker = lane == tl.where(kind == SPIKE, who, -1)
            a = tl.where(spiker, ra, a)
            b = tl.where(spiker, rb, b)
            c = tl.where(spiker, rc, c)
            i += 1
        tl.debug_barrier()
        i = flows - 1
        while i >= 0:
            k = log + low + i
            alive = low + i < n
            before = tl.load(log_time + k - 1, mask=low + i > 0, other=0.0)
            dt = tl.load(log_dt + k, mask=alive, other=0.0)
            dt = tl.where(alive, dt, T - before)
            kind = tl.load(log_kind + k, mask=alive, other=-1)
            who = tl.load(log_id + k, mask=alive, other=0)
            source = tl.load(log_source + k, mask=alive, other=0)
            if DELAYED:
                tl.debug_barrier()  # an arrival has moved the pull of its spike
            pull = tl.load(pulls + k, mask=alive, other=0.0)
            a, b, c = load3(scratch + i * 3 * BLOCK, lane, BLOCK)
            a, b, c, keep, scale = FLOW(a, b, c, dt, p0, p1, p2)
            row = who.to(tl.int64) * BLOCK + lane
            sends = alive & (kind != INPUT)
            if DELAYED:
                sends = sends & (kind == ARRIVAL)
            w = tl.load(w_in + row, mask=lane < tl.where(kind == INPUT, N, 0), other=0.0)
            w += tl.load(w_net + row, mask=lane < tl.where(sends, N, 0), other=0.0)
            driven = lane < tl.where(kind == INPUT, N, 0)
            coupled = (lane < tl.where(sends, N, 0)) & (lane != who)  # the sender does not receive
            reached = driven | coupled
            kg, kh, gw, moved = KICK_BACK(a, b, c, w, g, h, p0, p1, p2)
            pull += tl.sum(tl.where(reached, moved, 0.0))
            g = tl.where(reached, kg, g)
            h = tl.where(reached, kh, h)
            tl.atomic_add(gw_in + row, gw, mask=driven)
            tl.atomic_add(gw_net + row, gw, mask=coupled)
            spiker = lane == tl.where(kind == SPIKE, who, -1)
            sg, sh, _p = SPIKE_BACK(a, b, c, g, h, pull, p0, p1, p2)
            g = tl.where(spiker, sg, g)
            h = tl.where(spiker, sh, h)
            tl.store(g_times + sample * K + source, pull, mask=kind == INPUT)
            if DELAYED:
                at = pulls + log + source
                tl.store(at, tl.load(at, mask=kind == ARRIVAL, other=0.0) + pull, mask=kind == ARRIVAL)
                tl.atomic_add(g_delays + who, pull, mask=kind == ARRIVAL)
            g, h = FLOW_BACK(g, h, keep, scale, dt, p0, p1, p2)
            i -= 1
        block -= 1
    tl.store(adjoint + sample * 2 * BLOCK + lane, g)
    tl.store(adjoint + sample * 2 * BLOCK + BLOCK + lane, h)
