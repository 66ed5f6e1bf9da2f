"""stub"""
from __future__ import annotations
def compile_filter(cql2, layer, parameters, filter_crs):
    raise NotImplementedError
