"""What benchmarks/loops.py is made of."""
