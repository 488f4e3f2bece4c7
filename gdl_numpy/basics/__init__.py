"""Chapters 2 to 6, from first principles: each file one idea, in functions of plain arrays.

`prediction` (3), `hot_and_cold` (4), `gradient_descent` (4, 5), `streetlights` and `deep_network` (6), and of
chapter 2 `counting` and `kmeans`. Their twins, with autograd, have the same names in `gdl_torch.basics`.
"""
