"""The models of *Grokking Deep Learning*, forward and backward, written out by hand in NumPy.

`nn`, `models` and `optim` import NumPy and the standard library and nothing else. `checkpoint`
adds safetensors; `data` uses scikit-learn and pooch when a data set is asked for. PyTorch is never imported
from here: the twins of these models live in `gdl_torch`.
"""
