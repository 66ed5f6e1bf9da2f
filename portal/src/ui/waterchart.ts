/** Line charts over time: a value with its interval, a second axis, marked days; a click gives the nearest point. */
import { reducedMotion } from "../map/mapview";
import { chinaTime } from "./observationtime";

export interface LinePoint {
  time: string;
  value: number | null;
  /** Ends of the interval, if there is one. */
  low?: number | null;
  high?: number | null;
  /** Not observed on that day, or flagged: drawn hollow. */
  hollow?: boolean;
  /** Stands out. */
  large?: boolean;
  color?: string;
  /** Shown for the value. */
  text?: string;
}

export interface LineSeries {
  name: string;
  unit: string;
  color: string;
  points: LinePoint[];
  /** On the axis at the right. */
  second?: boolean;
  step?: boolean;
  /** Every point has its symbol, on the second axis too. */
  dots?: boolean;
}

export interface ChartMark {
  time: string;
  name: string;
  color: string;
}

export interface LineChartOptions {
  series: LineSeries[];
  intervalName?: string | undefined;
  marks?: ChartMark[];
  /** A level that is drawn across the chart. */
  limit?: { value: number; name: string } | undefined;
  /** Fixed range of the first axis and names of its values. */
  steps?: Record<number, string> | undefined;
  /** Values of every hour: days on the axis, small points, minutes in the tooltip. */
  hourly?: boolean;
  /** Values of whole years: years on the axis and in the tooltip. */
  yearly?: boolean;
  /** Name of the first axis, where it holds several series. */
  axisName?: string;
  description: string;
  onPick?: (time: string) => void;
}

export interface DrawnChart {
  /** Marks the day that the map shows. */
  cursor(time: string): void;
  dispose(): void;
}

const SOFT = "#4b5a68";

export async function drawLines(host: HTMLElement, options: LineChartOptions): Promise<DrawnChart> {
  const { init } = await import("./lines");
  host.style.height = "260px";
  const chart = init(host, null, { renderer: "svg" });
  const { steps } = options;
  const axis = (second: boolean): object => {
    const own = options.series.filter((s) => Boolean(s.second) === second);
    return {
      type: "value",
      name: !second && options.axisName ? options.axisName : own[0] && !(steps && !second) ? `${own[0].name}${own[0].unit ? ` (${own[0].unit})` : ""}` : "",
      nameTextStyle: { align: second ? "right" : "left", color: (second || !options.axisName ? own[0]?.color : undefined) ?? SOFT, fontSize: 11 },
      position: second ? "right" : "left",
      scale: true,
      splitLine: { show: !second, lineStyle: { color: "#e5eaee" } },
      axisLabel: { fontSize: 10, color: SOFT, ...(steps && !second ? { formatter: (v: number) => steps[v] ?? "" } : {}) },
      ...(steps && !second ? { min: 0, max: Math.max(...Object.keys(steps).map(Number)) + 1, interval: 1, inverse: true } : {}),
    };
  };
  const lines = options.series.flatMap((s) => seriesOf(s, options));
  chart.setOption({
    animation: !reducedMotion(),
    aria: { enabled: true, label: { description: options.description } },
    grid: { left: 6, right: 6, top: options.axisName ? 64 : 54, bottom: 8, containLabel: true },
    legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 9, textStyle: { fontSize: 11 }, data: [...options.series.map((s) => ({ name: s.name })), ...(options.intervalName ? [{ name: options.intervalName, icon: "rect" }] : [])] },
    tooltip: { trigger: "axis", confine: true, formatter: (rows: unknown) => tip(rows, options) },
    xAxis: { type: "time", axisLine: { onZero: false }, position: "bottom", axisLabel: { fontSize: 10, color: SOFT, hideOverlap: true, formatter: { year: "{yyyy}", month: "{yyyy}-{MM}", day: "{yyyy}-{MM}-{dd}" } }, minInterval: options.hourly ? 3_600_000 : 86_400_000 * (options.yearly ? 365 : 28) },
    yAxis: options.series.some((s) => s.second) ? [axis(false), axis(true)] : axis(false),
    series: [...lines, { id: "cursor", type: "line", data: [], silent: true, markLine: marker(null) }],
  });
  chart.getZr().on("click", (event: { offsetX: number; offsetY: number }) => {
    const place = chart.convertFromPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]) as number[] | undefined;
    if (!place || !options.onPick) return;
    const times = options.series.flatMap((s) => s.points.map((p) => p.time));
    const near = times.reduce((best, time) => (apart(time, place[0]!) < apart(best, place[0]!) ? time : best), times[0] ?? "");
    if (near) options.onPick(near);
  });
  const observer = new ResizeObserver(() => chart.resize());
  observer.observe(host);
  return {
    cursor: (time) => chart.setOption({ series: [{ id: "cursor", markLine: marker(time) }] }),
    dispose: () => {
      observer.disconnect();
      chart.dispose();
    },
  };
}

const apart = (time: string, at: number): number => Math.abs(new Date(time).getTime() - at);

const marker = (time: string | null): object => ({
  symbol: "none",
  animation: false,
  label: { show: false },
  lineStyle: { color: "#17212b", width: 1.5, type: "solid" },
  data: time ? [{ xAxis: time }] : [],
});

function seriesOf(series: LineSeries, options: LineChartOptions): object[] {
  const { points, color, name } = series;
  const yAxisIndex = series.second ? 1 : 0;
  const main = {
    type: "line",
    name,
    yAxisIndex,
    color,
    z: series.second ? 5 : 4,
    step: series.step ? "middle" : false,
    // A year without a value is a gap: nothing is known of it.
    connectNulls: !options.yearly,
    symbol: "circle",
    showSymbol: !series.second || Boolean(series.dots),
    symbolSize: options.hourly ? 2 : 6,
    lineStyle: { width: series.second ? 1 : 1.8, ...(series.second ? { type: "dashed" } : {}), ...(options.steps ? { color: "#9aa7b3", width: 1 } : {}) },
    data: points.map((p) => ({
      value: [p.time, p.value],
      ...(p.large ? { symbolSize: 10, symbol: "diamond" } : {}),
      itemStyle: p.hollow ? { color: "#fff", borderColor: color, borderWidth: 1.5 } : { color: p.color ?? color },
    })),
    ...(series.second
      ? {}
      : {
          markLine: {
            symbol: "none",
            animation: false,
            label: { fontSize: 10, position: "insideEndTop", formatter: "{b}" },
            data: [
              ...(options.marks ?? []).map((m) => ({ xAxis: m.time, name: m.name, lineStyle: { color: m.color, type: "dashed", width: 1.5 }, label: { show: false } })),
              ...(options.limit ? [{ yAxis: options.limit.value, name: options.limit.name, lineStyle: { color: "#2e7d32", type: "dashed" } }] : []),
            ],
          },
        }),
  };
  if (!points.some((p) => typeof p.low === "number" && typeof p.high === "number")) return [main];
  // The band is the difference stacked on the lower end.
  const edge = { type: "line", yAxisIndex, stack: `band ${name}`, stackStrategy: "all", silent: true, symbol: "none", lineStyle: { opacity: 0 }, connectNulls: false, z: 1 };
  const known = points.map((p) => (typeof p.low === "number" && typeof p.high === "number" ? [p.low, p.high] : null));
  return [
    { ...edge, name: "low", data: points.map((p, i) => [p.time, known[i]?.[0] ?? null]) },
    { ...edge, name: options.intervalName, color, areaStyle: { color, opacity: 0.22 }, data: points.map((p, i) => [p.time, known[i] ? known[i][1]! - known[i][0]! : null]) },
    main,
  ];
}

/** Text of the tooltip: day, values, marks of that day. */
function tip(rows: unknown, options: LineChartOptions): string {
  const list = (Array.isArray(rows) ? rows : [rows]) as { seriesName: string; value: [string, number | null]; marker: string; dataIndex: number }[];
  const safe = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const parts: string[] = [];
  for (const row of list) {
    const series = options.series.find((s) => s.name === row.seriesName);
    const point = series?.points[row.dataIndex];
    if (!series || !point || point.value === null) continue;
    const interval = typeof point.low === "number" && typeof point.high === "number" ? ` (${point.low.toFixed(2)}–${point.high.toFixed(2)})` : "";
    parts.push(`${row.marker}${safe(series.name)} <b>${safe(point.text ?? point.value.toFixed(2))}</b> ${safe(point.text ? "" : series.unit)}${interval}`);
  }
  const time = list[0]?.value[0];
  return [time ? safe(options.hourly ? chinaTime(String(time)) : String(time).slice(0, options.yearly ? 4 : 10)) : "", ...parts].filter(Boolean).join("<br>");
}
