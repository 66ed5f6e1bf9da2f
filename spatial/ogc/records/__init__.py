"""OGC API Records (资源目录): a record per layer, result, process and service."""
