"""Height above the nearest drainage (HAND, 相对河道高差), for reaches without gauges or cross-sections (资料缺乏河段)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter
from spatial.units import cell_row_areas

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["Drainage", "drainage", "drainage_of_directions"]


@dataclass(frozen=True)
class Drainage:
    """Flow directions (流向) of a grid and what follows from them."""

    flow: Any
    """`pyflwdir.FlwdirRaster`."""
    upstream_km2: NDArray[np.float64]
    """Area that drains through each cell, itself included, on the ellipsoid; −9999 where no direction is known."""

    def hand(self, elevation: NDArray[Any], stream_km2: float) -> NDArray[np.float32]:
        """HAND, m: height of a cell above the first stream cell that its water comes to.

        Formula: HAND(x) = z(x) − z(s(x)), s(x) the first cell downstream of x with upstream area ≥ `stream_km2`.

        Returns
        -------
        float32, m; 0 on streams, NaN where no stream is reached or the elevation is missing. Negative values, from
        depressions that the directions cross, are kept as 0.

        Source: Nobre et al. 2011, doi 10.1016/j.jhydrol.2011.03.051; pyflwdir.
        """
        if not stream_km2 > 0:
            raise InvalidParameter("河网阈值须为正", "the stream threshold must be positive", parameter="stream_km2")
        z = np.asarray(elevation, np.float32)
        stream = self.upstream_km2 >= stream_km2
        if not stream.any():
            raise InvalidParameter(
                f"没有上游面积达到 {stream_km2:g} km² 的河道，请减小河网阈值",
                f"no stream drains {stream_km2:g} km²; use a smaller threshold",
                parameter="stream_km2",
            )
        height = np.asarray(self.flow.hand(stream, np.nan_to_num(z, nan=-9999.0)), np.float32)
        reached = (self.upstream_km2 > 0) & np.isfinite(z) & (height > -9000)
        return np.where(reached, np.maximum(height, 0.0), np.float32(np.nan)).astype(np.float32)

    def flooded(self, elevation: NDArray[Any], stream_km2: float, stage_m: float) -> NDArray[np.float32]:
        """Depth by HAND: stage − HAND where it is not negative, else NaN, m."""
        depth = np.float32(stage_m) - self.hand(elevation, stream_km2)
        return np.where(depth >= 0, depth, np.float32(np.nan)).astype(np.float32)


def _upstream(flow: Any, affine: Affine, shape: tuple[int, int]) -> NDArray[np.float64]:
    rows = cell_row_areas(affine.f, -affine.e, affine.a, shape[0]) / 1e6
    areas = np.ascontiguousarray(np.broadcast_to(rows[:, None], shape), dtype=np.float64)
    # Cells without a direction would count themselves.
    return np.where(np.reshape(flow.mask, shape), np.asarray(flow.accuflux(areas), np.float64), -9999.0)


def drainage_of_directions(d8: NDArray[np.uint8], affine: Affine) -> Drainage:
    """Drainage from D8 directions (1 E, 2 SE, 4 S … 128 NE, 0 outlet, 247 nodata) on a longitude–latitude grid."""
    import pyflwdir

    flow = pyflwdir.from_array(d8, ftype="d8", transform=affine, latlon=True)
    return Drainage(flow, _upstream(flow, affine, d8.shape))


def drainage(elevation: NDArray[Any], affine: Affine) -> Drainage:
    """Drainage from elevation: depressions are filled (Wang & Liu 2006, doi 10.1080/13658810500433453), then steepest descent.

    Parameters
    ----------
    elevation : float (rows, cols), m; NaN = nodata
    affine : Affine
        North up, degrees.
    """
    import pyflwdir

    z = np.asarray(elevation, np.float32)
    if not np.isfinite(z).any():
        raise InvalidParameter("地形没有有效像元", "the terrain has no valid cell", parameter="terrain")
    flow = pyflwdir.from_dem(
        data=np.nan_to_num(z, nan=-9999.0), nodata=-9999.0, transform=affine, latlon=True, outlets="edge"
    )
    return Drainage(flow, _upstream(flow, affine, z.shape))
