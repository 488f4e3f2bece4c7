"""Federated learning with torch; each name has its twin in `gdl_numpy.federated`."""

from gdl_torch.federated.accounting import OpacusAccountant
from gdl_torch.federated.averaging import weighted_average
from gdl_torch.federated.participant import Participant
from gdl_torch.federated.rounds import federated_round

__all__ = ["OpacusAccountant", "Participant", "federated_round", "weighted_average"]
