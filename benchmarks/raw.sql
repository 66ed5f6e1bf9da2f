-- The floor (底线): the same rows and tiles with nothing but SQL, one connection, no HTTP. This text is fixed.
-- Coordinates of 9 decimals. Placeholders $1, $2 … are bound.

-- name: page
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('code', code, 'county', county, 'landuse', landuse, 'owner', owner, 'grade', grade,
    'year', year, 'price', price, 'quality', quality, 'slope', slope, 'protected', protected, 'surveyed', surveyed))::text
FROM onemap.bench_parcels__1
ORDER BY fid LIMIT $1::bigint;

-- name: bbox
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('code', code, 'county', county, 'landuse', landuse, 'owner', owner, 'grade', grade,
    'year', year, 'price', price, 'quality', quality, 'slope', slope, 'protected', protected, 'surveyed', surveyed))::text
FROM onemap.bench_parcels__1
WHERE ST_Intersects(geom, ST_MakeEnvelope($1::float8, $2::float8, $3::float8, $4::float8, 4490))
ORDER BY fid LIMIT 1000;

-- name: property
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('code', code, 'county', county, 'landuse', landuse, 'owner', owner, 'grade', grade,
    'year', year, 'price', price, 'quality', quality, 'slope', slope, 'protected', protected, 'surveyed', surveyed))::text
FROM onemap.bench_parcels__1
WHERE owner = $1::text
ORDER BY fid LIMIT 100;

-- name: cql2
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('code', code, 'county', county, 'landuse', landuse, 'owner', owner, 'grade', grade,
    'year', year, 'price', price, 'quality', quality, 'slope', slope, 'protected', protected, 'surveyed', surveyed))::text
FROM onemap.bench_parcels__1
WHERE (landuse = '0101' OR landuse = '0301') AND quality > $1::float8 AND grade <= 5
ORDER BY fid LIMIT 100;

-- name: item
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('code', code, 'county', county, 'landuse', landuse, 'owner', owner, 'grade', grade,
    'year', year, 'price', price, 'quality', quality, 'slope', slope, 'protected', protected, 'surveyed', surveyed))::text
FROM onemap.bench_parcels__1
WHERE fid = $1::bigint;

-- name: points
SELECT json_build_object('type', 'Feature', 'id', fid, 'geometry', ST_AsGeoJSON(geom, 9)::json,
  'properties', json_build_object('name', name, 'kind', kind, 'value', value))::text
FROM onemap.bench_points__1
WHERE fid > $1::bigint
ORDER BY fid LIMIT 1000;

-- name: tile
SELECT ST_AsMVT(t, 'bench-parcels', 4096, 'tile', 'fid') FROM (
  SELECT fid, code, county, landuse, owner, grade, year, price, quality, slope, protected, surveyed::text,
    ST_AsMVTGeom(geom_3857, ST_TileEnvelope($1::integer, $2::integer, $3::integer), 4096, 64, true) AS tile
  FROM onemap.bench_parcels__1
  WHERE geom_3857 && ST_TileEnvelope($1::integer, $2::integer, $3::integer, margin => 64.0 / 4096)) t
WHERE tile IS NOT NULL;
