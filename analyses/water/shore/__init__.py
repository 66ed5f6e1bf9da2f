"""Shorelines and the corridor behind them (岸线与沿岸带): position, retreat, change of cover."""
