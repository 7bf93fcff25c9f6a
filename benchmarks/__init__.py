"""Benchmarks of Rheobase against its limits and its peers; see README.md. Nothing in the library imports this."""
