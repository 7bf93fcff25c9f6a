"""Reports: one HTML page about one or several runs, complete in itself."""

from rheobase.report.build import report
from rheobase.report.source import Source

__all__ = ["Source", "report"]
