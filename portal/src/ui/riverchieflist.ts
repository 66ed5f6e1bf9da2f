/** The list of cases with its filters and exports. */
import { pick, t } from "../i18n";
import { fill, h, icon } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import type { DeskHost, Page } from "./riverchief";
import { getCases, ledgerAddress, type CaseItem } from "./riverchiefapi";
import { flagBadges, labelled, stateBadge, when } from "./riverchiefparts";

const PAGE_SIZE = 30;

export class CaseList implements Page {
  readonly element = h("section", { class: "stack", id: "river-chief-list" });
  private filters: Record<string, string> = {};
  private count = PAGE_SIZE;
  private round = 0;
  private readonly rows = h("div", { class: "stack" });
  private readonly found = h("p", { class: "hint", role: "status", "aria-live": "polite" });

  constructor(private readonly host: DeskHost) {}

  show(): void {
    fill(this.element, h("h3", { tabindex: "-1" }, t("riverChiefCases")), this.form(), this.exports(), this.found, this.rows);
    void this.load();
  }

  private query(): URLSearchParams {
    return new URLSearchParams(Object.entries(this.filters).filter(([, value]) => value));
  }

  private choice(name: string, label: string, options: [string, string][]): HTMLElement {
    const select = h(
      "select",
      {
        id: `river-chief-${name}`,
        onchange: () => {
          this.filters[name] = select.value;
          this.count = PAGE_SIZE;
          fill(this.links, this.exportLinks());
          void this.load();
        },
      },
      h("option", { value: "" }, t("riverChiefAll")),
      options.map(([value, text]) => h("option", { value, selected: this.filters[name] === value }, text)),
    );
    return labelled(label, select);
  }

  private form(): HTMLElement {
    const { desk } = this.host;
    return h(
      "div",
      { class: "rc-filters", role: "search", "aria-label": t("riverChiefFilters") },
      this.choice("state", t("riverChiefState"), desk.states.map((s) => [s.id, pick(s.title)])),
      this.choice("unit", t("riverChiefUnit"), desk.units.map((unit) => [unit, unit])),
      this.choice("kind", t("riverChiefKind"), desk.kinds.map((k) => [k.id, pick(k.title)])),
      this.choice("overdue", t("riverChiefDue"), [
        ["true", t("riverChiefOverdue")],
        ["false", t("riverChiefInTime")],
      ]),
    );
  }

  private readonly links = h("div", { class: "rc-buttons" });

  private exports(): HTMLElement {
    fill(this.links, this.exportLinks());
    return this.links;
  }

  private exportLinks(): HTMLElement[] {
    return (["xlsx", "docx"] as const).map((ending) =>
      h(
        "a",
        { class: "button small", href: ledgerAddress(ending, this.query()), download: `river-chief-ledger.${ending}` },
        t(ending === "xlsx" ? "riverChiefLedgerExcel" : "riverChiefLedgerWord"),
      ),
    );
  }

  private async load(): Promise<void> {
    this.round += 1;
    const { round } = this;
    if (!this.rows.childElementCount) fill(this.rows, loadingBox(t("loading")));
    const query = this.query();
    query.set("limit", String(this.count));
    try {
      const list = await getCases(query);
      if (round !== this.round) return;
      fill(this.found, t("riverChiefFound", { n: list.numberMatched }));
      fill(
        this.rows,
        list.features.length
          ? h("ul", { class: "rc-list" }, list.features.map((item) => this.row(item)))
          : emptyBox(t("riverChiefNone")),
        list.numberMatched > list.features.length
          ? h("button", { type: "button", class: "button", onclick: () => {
              this.count += PAGE_SIZE;
              void this.load();
            } }, t("riverChiefMore"))
          : null,
      );
    } catch (error) {
      if (round === this.round) fill(this.rows, errorBox(error, () => void this.load()));
    }
  }

  private row({ id, bbox, properties: p }: CaseItem): HTMLElement {
    const { host } = this;
    return h(
      "li",
      { class: "rc-row", "data-case": String(id) },
      h(
        "button",
        { type: "button", class: "rc-open", onclick: () => host.openCase(id) },
        h("strong", {}, p.title),
        h("span", { class: "rc-line" }, stateBadge(host.desk, p), p.kind_title ? h("span", {}, pick(p.kind_title)) : null, flagBadges(p.flags)),
        h("span", { class: "hint" }, [p.number, p.reach_name, p.chainage].filter(Boolean).join(" · ")),
        h("span", { class: "hint" }, `${p.unit ?? "—"} · ${t("riverChiefDue")} ${when(p.due, false)}`),
      ),
      h("button", { type: "button", class: "icon-button", "aria-label": t("riverChiefLocate", { name: p.title }), title: t("riverChiefLocate", { name: p.title }), onclick: () => host.locate(bbox) }, icon("target")),
    );
  }
}
