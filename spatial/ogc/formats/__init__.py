"""Features as files (要素文件): GeoPackage, FlatGeobuf, Shapefile, CSV, GeoParquet, Arrow."""
