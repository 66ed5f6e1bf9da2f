"""Rivers, lakes and wetlands (江河湖库监测) from remote sensing and gauges: pure functions and the analyses built on them."""
