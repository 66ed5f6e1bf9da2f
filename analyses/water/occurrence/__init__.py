"""How often a place is wet (水体出现频率): counts of clear and wet looks, seasonality and transitions."""
