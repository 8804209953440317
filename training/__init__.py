"""How the judge's weights are made: `sources`, `data`, `augment`, `train`, `evaluate`."""
