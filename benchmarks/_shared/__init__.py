"""What all benchmarks share: statistics, the sides' processes, facts of the machine, tables and pictures."""
