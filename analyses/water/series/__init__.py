"""What a series says (时间序列): trend, change point, alerts that two observations confirm."""
