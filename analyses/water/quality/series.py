"""Series of station and satellite side by side (星地同图): one table for one chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import pandas

__all__ = ["joined_series", "matchups"]


def joined_series(
    stations: pandas.DataFrame,
    satellite: pandas.DataFrame,
    station_units: Mapping[str, str],
    satellite_units: Mapping[str, str],
    *,
    body_field: str = "water_body",
) -> list[dict[str, Any]]:
    """Observations of both, by water body, time and quantity; what one has not measured stays away, nothing is filled.

    Parameters
    ----------
    stations : DataFrame
        ``station``, `body_field`, ``time`` (with zone), one column a quantity.
    satellite : DataFrame
        ``body`` (name of the water body), ``time`` (with zone), one column a quantity.
    station_units, satellite_units : mapping
        Column → unit; only these columns enter.

    Returns
    -------
    list of dict
        ``body``, ``source`` (station or satellite), ``series``, ``time`` (UTC), ``quantity``, ``value``, ``unit``; in the
        order of body, source, series, quantity and time. Bodies that only one of the two knows are left out.

    Raises
    ------
    InvalidParameter
        A column that is missing, or times without zone.
    """
    import pandas

    for name, frame, needed in (
        ("stations", stations, ["station", body_field, "time", *station_units]),
        ("satellite", satellite, ["body", "time", *satellite_units]),
    ):
        lacking = [column for column in needed if column not in frame.columns]
        if lacking:
            raise InvalidParameter(
                f"{name} 缺少列 {'、'.join(lacking)}",
                f"{name} lacks the columns {', '.join(lacking)}",
                parameter=name,
                missing=lacking,
            )
        if not isinstance(frame["time"].dtype, pandas.DatetimeTZDtype):
            raise InvalidParameter(f"{name} 的时间没有时区", f"the times of {name} have no zone", parameter=name)
    common = sorted(set(stations[body_field].dropna()) & set(satellite["body"].dropna()))
    rows: list[dict[str, Any]] = []

    def add(frame: pandas.DataFrame, body: str, source: str, series: str, units: Mapping[str, str]) -> None:
        ordered = frame.sort_values("time", kind="stable")
        for quantity, unit in units.items():
            values = ordered[quantity].to_numpy(dtype=np.float64)
            for time, value in zip(ordered["time"], values, strict=True):
                if np.isfinite(value):
                    rows.append(
                        {
                            "body": body,
                            "source": source,
                            "series": series,
                            "time": time.tz_convert("UTC").isoformat(),
                            "quantity": quantity,
                            "value": float(value),
                            "unit": unit,
                        }
                    )

    for body in common:
        for station, part in stations[stations[body_field] == body].groupby("station", sort=True):
            add(part, body, "station", str(station), station_units)
        add(satellite[satellite["body"] == body], body, "satellite", body, satellite_units)
    return rows


def matchups(
    stations: pandas.DataFrame,
    satellite: pandas.DataFrame,
    measured: str,
    index: str,
    *,
    longest_hours: float,
    body_field: str = "water_body",
) -> pandas.DataFrame:
    """Pairs of a measurement and the nearest pass of the same water body (星地匹配), for a calibration.

    Parameters
    ----------
    longest_hours : float
        Longest time between the two.

    Returns
    -------
    DataFrame
        ``body``, ``time`` (of the sample), ``hours``, ``index``, ``measured``, ``date`` (group for the validation).
    """
    import pandas

    pairs = []
    for body, sampled in stations[[body_field, "time", measured]].dropna().groupby(body_field, sort=True):
        passes = satellite.loc[satellite["body"] == body, ["time", index]].dropna()
        if passes.empty:
            continue
        seconds = passes["time"].astype("datetime64[s, UTC]").astype("int64")
        times: list[Any] = sampled["time"].tolist()
        values = sampled[measured].to_numpy(dtype=np.float64)
        for time, value in zip(times, values, strict=True):
            apart = np.abs(seconds.to_numpy() - int(time.timestamp()))
            k = int(apart.argmin())
            if apart[k] <= longest_hours * 3600:
                passed: Any = passes["time"].iloc[k]
                pairs.append(
                    {
                        "body": str(body),
                        "time": time,
                        "hours": apart[k] / 3600,
                        "index": float(passes[index].iloc[k]),
                        "measured": float(value),
                        "date": str(passed.date()),
                    }
                )
    return pandas.DataFrame(pairs, columns=["body", "time", "hours", "index", "measured", "date"])
