"""OGC API (开放地理信息接口): our handlers for features, pygeoapi's functions for the rest, and our pygeoapi plugins."""
