"""Water on one scene (水体提取): reflectance, masks, the tests of DSWx, WOfS and SAR, and the analysis of one scene."""
