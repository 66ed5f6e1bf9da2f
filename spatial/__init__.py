"""OneMap Hubei (湖北一张图): the platform package. ``import spatial as sp``."""
