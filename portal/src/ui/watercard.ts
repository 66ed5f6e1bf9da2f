/** 一湖一档年度卡: what a lake was in a year, judged against its protection line, to be read and printed. */
import type { LayerInfo } from "../api/types";
import { lang, pick, t, type Key } from "../i18n";
import { fill, h, icon, type Child } from "./dom";
import { ALL_INDICATORS, VERDICTS, cardsOf, differenceOf, seriesOf, show, signed, startOf, storageText, type LakeCard, type Verdict } from "./lakecards";
import { csvButton } from "./table";
import type { Item } from "./waterapi";
import { drawLines, type DrawnChart } from "./waterchart";
import type { Body, WatchRun } from "./waterdates";

export class LakeCardBox {
  readonly element = h("section", { class: "stack", id: "water-card" });
  private cards: LakeCard[] = [];
  private layer: LayerInfo | undefined;
  private year = 0;
  private chart: DrawnChart | null = null;

  /** @param onMap shows the layer of the cards on the map. */
  constructor(private readonly onMap: (layer: LayerInfo) => void) {}

  /** The cards of a run; nothing is shown before `show`. */
  take(run: WatchRun | undefined, items: readonly Item[]): void {
    this.layer = run?.cards;
    this.cards = cardsOf(items);
  }

  /** The card of a body of the run over a collection. */
  show(body: Body | undefined, collection: string): void {
    this.chart?.dispose();
    this.chart = null;
    if (!body) return fill(this.element);
    const mine = this.cards.filter((card) => card.body === body.id);
    const title = h("h3", {}, t("lakeCard"));
    if (!mine.length) return fill(this.element, title, this.missing(body, collection));
    const card = mine.find((one) => one.year === this.year) ?? mine.at(-1)!;
    this.year = card.year;
    const choose = (year: number, focus: boolean): void => {
      this.year = year;
      this.show(body, collection);
      if (focus) document.getElementById("water-card-year")?.focus();
    };
    const select = h(
      "select",
      { id: "water-card-year", onchange: () => choose(Number(select.value), true) },
      mine.map((one) => h("option", { value: one.year, selected: one.year === card.year }, `${one.year} · ${t(VERDICTS[one.verdict].text)}`)),
    );
    const host = h("div", { class: "water-chart", id: "water-card-chart" });
    fill(
      this.element,
      title,
      h("label", { class: "field noprint" }, h("span", {}, t("cardYear")), select),
      h(
        "div",
        { class: "lake-card", id: "lake-card", role: "group", "aria-label": `${card.lake} ${card.year}` },
        h("h4", {}, `${card.lake} · ${t("cardOfYear", { year: card.year })}`, this.layer?.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null),
        this.verdict(card),
        this.table(card, collection),
        h("h5", {}, t("cardByYear")),
        host,
        this.years(mine, card, (year) => choose(year, true)),
        this.health(card),
        h("p", { class: "hint" }, t("cardSource", { layer: this.layer?.id ?? "", day: this.layer?.published.slice(0, 10) ?? "" })),
      ),
      h(
        "div",
        { class: "buttons-row noprint" },
        h("button", { type: "button", class: "button small", id: "water-card-print", onclick: () => this.print() }, icon("print"), t("cardPrint")),
        csvButton(`lake-card-${card.lake}.csv`, () => mine.map((one) => one.row)),
        h("button", { type: "button", class: "button small", onclick: () => this.layer && this.onMap(this.layer) }, t("waterOnMap")),
      ),
    );
    void this.draw(host, mine, card, (year) => choose(year, false));
  }

  private verdict(card: LakeCard): Child {
    const { sign, color, text } = VERDICTS[card.verdict];
    // The verdict stands beside it.
    const told = pick(card.reason).replace(/^(无法判定：|cannot be judged: )/, "");
    const reason = told.charAt(0).toUpperCase() + told.slice(1);
    const remedy: Partial<Record<Verdict, Key>> = { doubtful: "cardDoubtfulDo", reduced: "cardReducedDo" };
    const doing = card.verdict === "unknown" && card.figures.protection_km2 === null ? "cardNoLineDo" : remedy[card.verdict];
    return h(
      "div",
      { class: "lake-verdict", id: "water-card-verdict", "data-verdict": card.verdict, style: { borderLeftColor: color } },
      h("p", {}, h("span", { class: "lake-sign", "aria-hidden": "true", style: { background: color } }, sign), `${t("cardNotReduced")}${lang() === "zh" ? "：" : ": "}`, h("strong", { style: { color } }, t(text))),
      reason ? h("p", {}, reason) : null,
      doing ? h("p", { class: "hint" }, t(doing)) : null,
    );
  }

  /** Figures one by one; where there is none, what it would take. */
  private table(card: LakeCard, collection: string): HTMLElement {
    const f = card.figures;
    const basis = { zh: String(card.row["natural_shore_basis_zh"] ?? ""), en: String(card.row["natural_shore_basis_en"] ?? "") };
    const difference = differenceOf(card);
    const percent = (value: number | null, digits = 1): string | null => show(value === null ? null : 100 * value, digits, " %");
    const atLevel = f.at_level_km2 === null ? null : `${show(f.at_level_km2, 2)}${f.at_level_half_km2 === null ? "" : ` ± ${show(f.at_level_half_km2, 2)}`} km²`;
    const line = f.protection_km2 === null ? null : `${show(f.protection_km2, 2)} km²${f.protection_level_m === null ? "" : ` (${show(f.protection_level_m, 2)} m)`}`;
    const rows: [Key, string | null, Child, Key][] = [
      ["cardAtLevel", atLevel, f.compared_dates ? t("cardDates", { n: f.compared_dates }) : "", "cardAtLevelDo"],
      ["cardLine", line, difference === null ? "" : t("cardDifference", { n: signed(show(difference, 2), difference) ?? "" }), "cardNoLineDo"],
      ["cardMean", show(f.mean_km2, 2, " km²"), f.least_km2 === null ? "" : t("cardRange", { low: show(f.least_km2, 2) ?? "", high: show(f.most_km2, 2) ?? "", n: f.observations ?? 0, clear: f.observed ?? 0 }), "cardMeanDo"],
      ["cardRatio", percent(f.surface_ratio), t("cardRatioBasis"), "cardRatioDo"],
      ["cardNaturalShore", percent(f.natural_shore), pick(basis), "cardNaturalShoreDo"],
      ["cardStorage", storageText(f.storage_change_m3), t("cardStorageBasis"), "cardStorageDo"],
      ["cardEcological", show(f.ecological_level_percent, 1, " %"), t("cardEcologicalBasis"), "cardEcologicalDo"],
    ];
    return h(
      "table",
      { class: "lake-figures", id: "water-card-figures" },
      h("caption", { class: "offscreen" }, `${card.lake} ${card.year}`),
      h(
        "tbody",
        {},
        rows.map(([name, value, note, remedy]) =>
          h(
            "tr",
            { "data-figure": name },
            h("th", { scope: "row" }, t(name)),
            h(
              "td",
              {},
              value === null ? [h("span", { class: "tag" }, t("wetlandNotAssessed")), h("small", {}, t(remedy, { collection }))] : [h("b", {}, value), note ? h("small", {}, note) : null],
            ),
          ),
        ),
        h("tr", { "data-figure": "cardCandidates" }, h("th", { scope: "row" }, t("cardCandidates")), h("td", {}, t("cardCandidatesText", { n: f.reclaimed ?? 0, area: show(f.reclaimed_ha ?? 0, 1) ?? "", back: show(f.restored_ha ?? 0, 1) ?? "" }))),
      ),
    );
  }

  private health(card: LakeCard): HTMLElement {
    const f = card.figures;
    const points = ([["cardShrinkage", f.shrinkage_percent, f.shrinkage_points], ["cardShoreState", f.natural_shore === null ? null : 100 * f.natural_shore, f.natural_shore_points], ["cardEcological", f.ecological_level_percent, null]] as [Key, number | null, number | null][]).filter(([, value]) => value !== null);
    return h(
      "div",
      { class: "stack", id: "water-card-health" },
      h("h5", {}, t("cardHealth", { n: f.assessed ?? 0, of: ALL_INDICATORS }), " ", h("span", { class: "tag" }, t("cardUnverified"))),
      points.length
        ? h(
            "table",
            { class: "grid" },
            h("thead", {}, h("tr", {}, [t("cardIndicator"), t("cardValue"), t("cardPoints")].map((name) => h("th", { scope: "col" }, name)))),
            h("tbody", {}, points.map(([name, value, got]) => h("tr", {}, h("th", { scope: "row" }, t(name)), h("td", {}, show(value, 1, " %")), h("td", {}, show(got, 1) ?? t("cardNoTable"))))),
          )
        : null,
      h("p", { class: "hint" }, t("cardHealthHint", { n: ALL_INDICATORS - (f.assessed ?? 0) })),
    );
  }

  /** Every year in a row; a year leads to its card. */
  private years(cards: LakeCard[], now: LakeCard, choose: (year: number) => void): HTMLElement {
    return h(
      "table",
      { class: "grid", id: "water-card-years" },
      h("thead", {}, h("tr", {}, [t("cardYear"), `${t("cardAtLevelShort")} km²`, `${t("cardMeanShort")} km²`, t("cardNotReduced")].map((name) => h("th", { scope: "col" }, name)))),
      h(
        "tbody",
        {},
        cards.map((card) =>
          h(
            "tr",
            { class: card === now ? "chosen" : "" },
            h("th", { scope: "row" }, h("button", { type: "button", class: "link", "aria-pressed": String(card === now), onclick: () => choose(card.year) }, card.year)),
            h("td", {}, show(card.figures.at_level_km2, 2) ?? "—"),
            h("td", {}, show(card.figures.mean_km2, 2) ?? "—"),
            h("td", { style: { color: VERDICTS[card.verdict].color } }, `${VERDICTS[card.verdict].sign} ${t(VERDICTS[card.verdict].short)}`),
          ),
        ),
      ),
    );
  }

  /** Why there is no card, and what to run for one. */
  private missing(body: Body, collection: string): Child {
    const reason: Key = !this.layer ? "cardNone" : body.name ? "cardNoneOfLake" : "cardNotListed";
    return h(
      "div",
      { class: "box empty small", id: "water-card-none" },
      h("p", {}, h("strong", {}, t("wetlandNotAssessed")), ` ${t(reason)}`),
      body.name ? h("pre", { tabindex: "0" }, `onemap run water-watch --collection ${collection} --lakes lakes --protection lake-protection-lines --publish`) : null,
    );
  }

  private async draw(host: HTMLElement, cards: LakeCard[], now: LakeCard, choose: (year: number) => void): Promise<void> {
    const series = seriesOf(cards);
    if (cards.length < 2 || !series.length) return host.remove();
    const chart = await drawLines(host, {
      series,
      // A band needs two years side by side.
      intervalName: series.some(({ points }) => points.some((point, k) => typeof point.low === "number" && typeof points[k + 1]?.low === "number")) ? t("waterInterval") : undefined,
      yearly: true,
      axisName: "km²",
      description: t("cardChartText", { lake: now.lake, first: cards[0]!.year, last: cards.at(-1)!.year }),
      onPick: (time) => choose(Number(time.slice(0, 4))),
    });
    if (!host.isConnected) return chart.dispose();
    this.chart = chart;
    chart.cursor(startOf(now.year));
  }

  /** The card alone on paper: a copy beside the page, which the print style leaves visible. */
  private print(): void {
    const card = this.element.querySelector("#lake-card");
    if (!card) return;
    const copy = card.cloneNode(true) as HTMLElement;
    for (const one of [copy, ...copy.querySelectorAll("[id]")]) one.removeAttribute("id");
    const sheet = h("div", { class: "print-sheet water" }, h("h1", {}, t("lakeCard")), copy);
    document.body.append(sheet);
    document.body.classList.add("print-card");
    const over = (): void => {
      sheet.remove();
      document.body.classList.remove("print-card");
      window.removeEventListener("afterprint", over);
    };
    window.addEventListener("afterprint", over);
    window.print();
  }
}
