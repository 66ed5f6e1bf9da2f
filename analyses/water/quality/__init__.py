"""Water quality (水质): optical indices of scenes, classes and trophic state of stations."""
