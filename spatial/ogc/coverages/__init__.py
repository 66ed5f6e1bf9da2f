"""OGC API Coverages (覆盖数据): rasters as data, by part, CRS, resolution and band."""
