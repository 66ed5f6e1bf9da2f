/** Bar chart of areas by county: ECharts, loaded when first needed and only the parts that it uses. */
import type { AreaUnit } from "../geo/format";
import { SQUARE_METRES } from "../geo/format";

export interface Series {
  name: string;
  color: string | null;
  /** km² for each category. */
  values: number[];
}

export async function drawBars(
  host: HTMLElement,
  categories: string[],
  series: Series[],
  unit: AreaUnit,
  unitName: string,
  description: string,
): Promise<() => void> {
  const { init } = await import("./bars");
  host.style.height = `${Math.min(560, 90 + categories.length * 24)}px`;
  const chart = init(host, null, { renderer: "svg" });
  const factor = 1e6 / SQUARE_METRES[unit];
  chart.setOption({
    animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
    aria: { enabled: true, label: { description } },
    grid: { left: 8, right: 16, top: 36, bottom: 24, containLabel: true },
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, confine: true },
    legend: { type: "scroll", top: 0, itemWidth: 12, itemHeight: 10, textStyle: { fontSize: 11 } },
    xAxis: { type: "value", name: unitName, nameLocation: "end", nameGap: 4, splitNumber: 3, axisLabel: { fontSize: 10, hideOverlap: true } },
    yAxis: { type: "category", data: categories, inverse: true, axisLabel: { fontSize: 11, width: 130, overflow: "break", lineHeight: 12 } },
    series: series.map((s) => ({
      type: "bar",
      stack: "all",
      name: s.name,
      barMaxWidth: 16,
      data: s.values.map((v) => Number((v * factor).toFixed(2))),
      ...(s.color ? { itemStyle: { color: s.color } } : {}),
    })),
  });
  const observer = new ResizeObserver(() => chart.resize());
  observer.observe(host);
  return () => {
    observer.disconnect();
    chart.dispose();
  };
}
