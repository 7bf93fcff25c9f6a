"""Trained networks for other programs: NIR graphs, and torch programs that need no Rheobase."""

from rheobase.export.graph import nir_graph
from rheobase.export.program import torch_program

__all__ = ["nir_graph", "torch_program"]
