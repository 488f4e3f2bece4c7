"""The checker that every annotated function of the packages gets while tests run."""

from beartype import BeartypeConf, beartype

# An int will do for a float, as in Python everywhere.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
