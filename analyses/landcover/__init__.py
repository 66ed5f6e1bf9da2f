"""Land cover (地表覆盖) from scenes: samples, classifier, applicability, accuracy with intervals, change between dates."""
