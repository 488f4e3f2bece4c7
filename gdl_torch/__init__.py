"""The models of `gdl_numpy` as PyTorch Lightning modules: the same names, arguments and `state_dict` keys."""
