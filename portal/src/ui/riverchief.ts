/** 河湖长工作台: the panel with its pages; which page is open, who acts, and the desk that all pages share. */
import type { App } from "../app";
import { t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h } from "./dom";
import { errorBox, loadingBox } from "./notice";
import { getDesk, identity, type Box, type Desk } from "./riverchiefapi";
import { CasePage } from "./riverchiefcase";
import { IssuePage } from "./riverchiefissue";
import { CaseList } from "./riverchieflist";
import { PatrolPage } from "./riverchiefpatrol";
import { AssessmentPage, RegisterPage } from "./riverchiefregister";
import "./riverchief.css";

const PAGES = ["cases", "issue", "register", "patrols", "assessment"] as const;
type PageName = (typeof PAGES)[number];

const PAGE_NAMES: Record<PageName, Key> = {
  cases: "riverChiefCases",
  issue: "riverChiefIssue",
  register: "riverChiefRegister",
  patrols: "riverChiefPatrols",
  assessment: "riverChiefAssessment",
};

const ACTOR = "onemap.riverchief.actor";

/** A page of the panel: draws itself into its element when it is shown. */
export interface Page {
  readonly element: HTMLElement;
  show(): void;
}

/** What the pages ask of the panel. */
export interface DeskHost {
  readonly desk: Desk;
  openCase(id: number): void;
  /** Shows a box on the map, with the cases (and one more layer) on it. */
  locate(bbox: Box, layer?: string): void;
  /** After a change: the published layer of the cases has a new version. */
  changed(): Promise<void>;
}

export class RiverChiefPanel implements DeskHost {
  readonly element = h("section", { class: "stack river-chief", id: "river-chief" });
  desk!: Desk;
  private page: PageName = "cases";
  private case: number | null = null;
  private pages: Record<PageName, Page> | null = null;
  private readonly body = h("div", { class: "stack" });

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    try {
      identity.actor = localStorage.getItem(ACTOR) ?? "";
    } catch {
      // Storage may be closed to the page; the name is then asked for each time.
    }
    app.on("lang", () => {
      if (this.pages) this.render();
    });
  }

  /** Reads the desk anew and draws the open page. */
  async open(): Promise<void> {
    if (!this.pages) fill(this.element, loadingBox(t("loading")));
    try {
      this.desk = await getDesk();
    } catch (error) {
      fill(this.element, errorBox(error, () => void this.open()));
      return;
    }
    this.pages ??= {
      cases: new CaseList(this),
      issue: new IssuePage(this),
      register: new RegisterPage(this),
      patrols: new PatrolPage(this),
      assessment: new AssessmentPage(),
    };
    this.render();
  }

  openCase(id: number): void {
    this.case = id;
    this.page = "cases";
    this.render();
    this.element.scrollIntoView({ block: "start" });
  }

  locate(bbox: Box, layer?: string): void {
    const { cases, range } = this.desk.layers;
    if (range.published) this.app.add(range.id);
    if (layer) this.app.add(layer);
    if (cases.published) this.app.add(cases.id);
    const [west, south, east, north] = bbox;
    const pad = Math.max(east - west, north - south, 0.002) * 0.8;
    this.view.fit([west - pad, south - pad, east + pad, north + pad]);
    this.view.mark([west, south, east, north]);
  }

  async changed(): Promise<void> {
    this.desk = await getDesk();
    await this.app.loadCatalogue();
  }

  private render(): void {
    const { pages } = this;
    if (!pages) return;
    fill(this.element, this.who(), this.tabs(), this.body);
    if (this.page === "cases" && this.case !== null) {
      const page = new CasePage(this, this.case, () => {
        this.case = null;
        this.view.mark(null);
        this.render();
        this.element.querySelector<HTMLElement>("#river-chief-list h3")?.focus();
      });
      fill(this.body, page.element);
      page.show();
      return;
    }
    fill(this.body, pages[this.page].element);
    pages[this.page].show();
  }

  private tabs(): HTMLElement {
    return h(
      "div",
      { class: "segmented wrap", role: "group", "aria-label": t("riverChief") },
      PAGES.map((name) =>
        h(
          "button",
          {
            type: "button",
            id: `river-chief-tab-${name}`,
            "aria-pressed": String(name === this.page),
            onclick: () => {
              this.page = name;
              this.case = null;
              this.render();
              document.getElementById(`river-chief-tab-${name}`)?.focus();
            },
          },
          t(PAGE_NAMES[name]),
        ),
      ),
    );
  }

  /** Who acts; the name goes with every request until the server has a login. */
  private who(): HTMLElement {
    const { editing } = this.desk;
    const synthetic = Object.values(this.desk.layers).some((layer) => layer.synthetic);
    const actor = h("input", {
      type: "text",
      id: "river-chief-actor",
      value: identity.actor,
      maxLength: 100,
      autocomplete: "name",
      oninput: () => {
        identity.actor = actor.value.trim();
        try {
          localStorage.setItem(ACTOR, identity.actor);
        } catch {
          // See the constructor.
        }
      },
    });
    const key = h("input", {
      type: "password",
      id: "river-chief-key",
      value: identity.key,
      autocomplete: "off",
      oninput: () => {
        identity.key = key.value;
      },
    });
    return h(
      "div",
      { class: "stack" },
      synthetic ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      editing === "off" ? h("p", { class: "box warning" }, t("riverChiefReadOnly")) : null,
      editing === "off" ? null : h("label", { class: "field" }, h("span", {}, t("riverChiefActor")), actor),
      editing === "key" ? h("label", { class: "field" }, h("span", {}, t("riverChiefKey")), key) : null,
    );
  }
}
