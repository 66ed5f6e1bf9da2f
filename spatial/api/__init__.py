"""``/api/v1``: what no OGC standard covers (目录、识别、文件)."""

from spatial.api.routes import routes

__all__ = ["routes"]
