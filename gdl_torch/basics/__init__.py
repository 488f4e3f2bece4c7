"""Chapters 2 to 6 with tensors and autograd: the twins of `gdl_numpy.basics`, file by file, name by name."""
