"""The parts of benchmarks/spawn.py."""
