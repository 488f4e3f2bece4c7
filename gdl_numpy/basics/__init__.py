"""Chapters 2 to 6, from first principles: a file a chapter, in functions of plain arrays.

`chapter_02`: counting, and finding groups. `chapter_03`: prediction, from one weight to stacked layers.
`chapter_04`: hot and cold, gradient descent of one weight, the derivative as a slope. `chapter_05`: many
weights. `chapter_06`: many examples, correlation, the first deep network. Their twins, with autograd, have
the same names in `gdl_torch.basics`.
"""
