"""OGC API Maps (地图): pictures of one or several collections in any served CRS."""
