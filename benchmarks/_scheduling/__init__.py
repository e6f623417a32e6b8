"""What benchmarks/scheduling.py is made of."""
