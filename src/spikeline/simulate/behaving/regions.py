"""Brain regions of the behaving twin and their ids in the Allen atlas (CCF 2017)."""

REGION_IDS = {
    "VISp": 385,
    "VISl": 409,
    "LP": 218,
    "LGd": 170,
    "CA1": 382,
    "MOs": 993,
    "CP": 672,
}
