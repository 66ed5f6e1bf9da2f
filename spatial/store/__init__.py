"""Stores (存储): vector layers in DuckDB or PostGIS, rasters as COG, state in one SQL database."""
