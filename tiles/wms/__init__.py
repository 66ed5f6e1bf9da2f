"""WMS 1.3.0 and 1.1.1 (网络地图服务) on the renderer of Maps, for desktop clients that know nothing newer."""
