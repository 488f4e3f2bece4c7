"""How fast is a training step? What `scripts/benchmark.py` times, and how contenders take turns."""
