"""OGC API EDR 1.1 (环境数据检索): values of rasters and stations at places, along lines and in areas."""
