"""Flood and drought (洪旱四预：预报、预警、预演、预案): gauge levels → water surface → extent, depth, exposure, plans."""
