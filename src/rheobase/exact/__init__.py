"""Event-driven simulation without time steps: exact spike times and exact gradients."""

from rheobase.exact import losses
from rheobase.exact.feedforward import feedforward, spikes
from rheobase.exact.lif import LIF
from rheobase.exact.osclif import OscLIF
from rheobase.exact.qif import QIF
from rheobase.exact.simulate import Events, simulate
from rheobase.exact.theta import Theta

__all__ = ["LIF", "QIF", "Events", "OscLIF", "Theta", "feedforward", "losses", "simulate", "spikes"]
