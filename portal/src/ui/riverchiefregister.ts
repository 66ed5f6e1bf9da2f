/** 一河（湖）一档 and the assessment by unit. */
import { lang, pick, t, type Key } from "../i18n";
import { fill, h } from "./dom";
import { errorBox, loadingBox } from "./notice";
import type { DeskHost, Page } from "./riverchief";
import { getAssessment, getWater, getWaters, type Assessment, type Figures, type WaterFile } from "./riverchiefapi";
import { facts, labelled, percent, stateBadge, when } from "./riverchiefparts";
import { patrolRow } from "./riverchiefpatrol";
import { csvButton } from "./table";

export class RegisterPage implements Page {
  readonly element = h("section", { class: "stack", id: "river-chief-register" });
  private water: string | null = null;
  private readonly file = h("div", { class: "stack" });

  constructor(private readonly host: DeskHost) {}

  show(): void {
    fill(this.element, loadingBox(t("loading")));
    getWaters()
      .then(({ waters }) => {
        if (!waters.some((one) => one.name === this.water)) this.water = waters[0]?.name ?? null;
        const select = h(
          "select",
          {
            id: "river-chief-water",
            onchange: () => {
              this.water = select.value;
              void this.load();
            },
          },
          waters.map((one) =>
            h("option", { value: one.name, selected: one.name === this.water }, t("riverChiefWaterOption", { name: one.name, n: one.reaches, open: one.open })),
          ),
        );
        fill(this.element, h("h3", {}, t("riverChiefRegister")), labelled(t("riverChiefWater"), select), this.file);
        return this.load();
      })
      .catch((error: unknown) => fill(this.element, errorBox(error, () => this.show())));
  }

  private async load(): Promise<void> {
    const { water } = this;
    if (water === null) return;
    fill(this.file, loadingBox(t("loading")));
    try {
      const found = await getWater(water);
      if (water === this.water) this.draw(found);
    } catch (error) {
      fill(this.file, errorBox(error, () => void this.load()));
    }
  }

  private draw(found: WaterFile): void {
    const { host } = this;
    const f = found.figures;
    fill(
      this.file,
      h("div", { class: "rc-buttons" }, h("button", { type: "button", class: "button small", onclick: () => host.locate(found.bbox) }, t("riverChiefOnMap"))),
      facts(found.name, [
        [t("riverChiefReaches"), found.reaches.length],
        [t("riverChiefRange"), found.range ? `${found.range.area_km2.toFixed(1)} km²` : t("riverChiefUnknown")],
        [t("riverChiefPermits"), found.permits ? t("riverChiefPermitCount", found.permits) : t("riverChiefUnknown")],
        [t("riverChiefCases"), t("riverChiefCaseCount", { n: f["cases"] ?? 0, open: f["open"] ?? 0, overdue: f["overdue"] ?? 0 })],
        [t("riverChiefInTimeShare"), percent(f["share_closed_in_time"])],
        [t("riverChiefPatrolsOf", { days: found.lookback_days }), `${f["patrols"] ?? 0} · ${f["patrol_km"] ?? 0} km`],
        [t("source"), `${found.register.layer} ${found.register.version}${found.register.synthetic ? ` · ${t("synthetic")}` : ""}`],
      ]),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": t("riverChiefReaches") },
        h(
          "table",
          { class: "grid rc-reaches" },
          h("caption", {}, t("riverChiefReaches")),
          h("thead", {}, h("tr", {}, (["riverChiefReach", "riverChiefChainage", "riverChiefChief", "riverChiefDays", "riverChiefOpen"] as Key[]).map((key) => h("th", { scope: "col" }, t(key))))),
          h(
            "tbody",
            {},
            found.reaches.map((reach) =>
              h(
                "tr",
                { "data-reach": reach.code },
                h("th", { scope: "row" }, h("button", { type: "button", class: "button small", onclick: () => host.locate(reach.bbox) }, reach.name)),
                h("td", {}, `${reach.from}–${reach.to}`),
                h("td", {}, reach.chief ?? "—", h("br"), h("span", { class: "hint" }, reach.unit ?? "—")),
                h("td", {}, `${reach.check_days ?? "—"} / ${reach.rectify_days ?? "—"}`),
                h("td", {}, reach.overdue ? `${reach.open} (${t("riverChiefOverdue")} ${reach.overdue})` : reach.open),
              ),
            ),
          ),
        ),
      ),
      h("h4", {}, t("riverChiefCases")),
      found.cases.length
        ? h("ul", { class: "rc-list" }, found.cases.map(({ id, properties: p }) =>
            h("li", { class: "rc-row" }, h("button", { type: "button", class: "rc-open", onclick: () => host.openCase(id) }, h("strong", {}, p.title), h("span", { class: "rc-line" }, stateBadge(host.desk, p), h("span", { class: "hint" }, when(p.created, false)))))))
        : h("p", { class: "hint" }, t("riverChiefNone")),
      h("h4", {}, t("riverChiefPatrols")),
      found.patrols.length ? h("ul", { class: "rc-list" }, found.patrols.map((one) => patrolRow(host, one))) : h("p", { class: "hint" }, t("riverChiefNoPatrols")),
    );
  }
}

const SHOWN = ["cases", "open", "overdue", "share_closed_in_time", "mean_days", "rebounds", "patrols", "patrol_km"];

export class AssessmentPage implements Page {
  readonly element = h("section", { class: "stack", id: "river-chief-assessment" });
  private period: Record<string, string> = {};

  show(): void {
    fill(this.element, loadingBox(t("loading")));
    const query = new URLSearchParams(Object.entries(this.period).filter(([, value]) => value));
    getAssessment(query)
      .then((found) => this.draw(found))
      .catch((error: unknown) => fill(this.element, errorBox(error, () => {
        this.period = {};
        this.show();
      })));
  }

  private draw(found: Assessment): void {
    const day = (name: string, label: string): HTMLElement => {
      const input = h("input", { type: "date", id: `river-chief-${name}`, value: this.period[name] ?? "", onchange: () => {
        this.period[name] = input.value;
        this.show();
      } });
      return labelled(label, input);
    };
    const names = SHOWN.filter((name) => name in found.total);
    const cell = (row: Figures, name: string): string => {
      const value = row[name];
      if (value === null || value === undefined) return "—";
      return name.startsWith("share") ? percent(value) : String(value);
    };
    const line = (title: string, row: Figures): HTMLElement =>
      h("tr", {}, h("th", { scope: "row" }, title), names.map((name) => h("td", {}, cell(row, name))));
    fill(
      this.element,
      h("h3", {}, t("riverChiefAssessment")),
      h("div", { class: "rc-filters" }, day("from", t("riverChiefFrom")), day("to", t("riverChiefTo"))),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": t("riverChiefAssessment") },
        h(
          "table",
          { class: "grid rc-figures" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("riverChiefUnit")), names.map((name) => h("th", { scope: "col", title: pick(found.definitions[name]) }, t(FIGURES[name] as Key))))),
          h("tbody", {}, found.units.map((row) => line(row.unit ?? t("riverChiefNoUnit"), row))),
          h("tfoot", {}, line(t("total"), found.total)),
        ),
      ),
      csvButton("river-chief-assessment.csv", () => found.units),
      h(
        "details",
        {},
        h("summary", {}, t("riverChiefDefinitions")),
        h("ul", { class: "factors" }, names.map((name) => h("li", {}, `${t(FIGURES[name] as Key)}: ${found.definitions[name]?.[lang()] ?? ""}`))),
      ),
    );
  }
}

const FIGURES: Record<string, Key> = {
  cases: "riverChiefFigureCases",
  open: "riverChiefOpen",
  overdue: "riverChiefOverdue",
  share_closed_in_time: "riverChiefInTimeShare",
  mean_days: "riverChiefMeanDays",
  rebounds: "riverChiefRebound",
  patrols: "riverChiefPatrols",
  patrol_km: "riverChiefPatrolKm",
};
