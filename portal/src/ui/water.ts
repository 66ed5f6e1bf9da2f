/** 江河湖库: lakes through time, quality of sections, rehearsal of floods; which page is open and what they share. */
import type { App } from "../app";
import { t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h } from "./dom";
import { ObservationPage } from "./observation";
import { FloodPage } from "./waterflood";
import { SectionPage } from "./watersections";
import { TimePage } from "./watertime";
import { WetlandPage } from "./wetland";
import "./water.css";

const PAGES = ["time", "sections", "flood", "observation", "wetland"] as const;
type PageName = (typeof PAGES)[number];

const PAGE_NAMES: Record<PageName, Key> = { time: "waterTime", sections: "waterSections", flood: "waterFlood", observation: "obsTab", wetland: "wetlandTab" };

/** A page of the panel. */
export interface WaterPage {
  readonly element: HTMLElement;
  /** Shown: reads what it needs and draws itself. */
  open(): Promise<void>;
  /** The catalogue or the language changed. */
  refresh(): void;
}

export class WaterPanel {
  readonly element = h("section", { class: "stack water", id: "water" });
  private page: PageName = "time";
  private readonly pages: Record<PageName, WaterPage>;
  private readonly body = h("div", { class: "stack" });

  /** @param toDesk shows a case at the river chief's desk. */
  constructor(app: App, view: MapView, toDesk: (id: number) => void) {
    this.pages = {
      time: new TimePage(app, view, toDesk),
      sections: new SectionPage(app, view),
      flood: new FloodPage(app, view),
      observation: new ObservationPage(app, view),
      wetland: new WetlandPage(app, view),
    };
    app.on("lang", () => {
      this.render();
      for (const page of Object.values(this.pages)) page.refresh();
    });
    app.on("catalogue", () => {
      if (app.catalogue && !app.loading) for (const page of Object.values(this.pages)) page.refresh();
    });
    this.render();
  }

  async open(): Promise<void> {
    await this.pages[this.page].open();
  }

  private render(): void {
    fill(
      this.element,
      h(
        "div",
        { class: "segmented wide pages", role: "group", "aria-label": t("water") },
        PAGES.map((name) =>
          h(
            "button",
            {
              type: "button",
              id: `water-tab-${name}`,
              "aria-pressed": String(name === this.page),
              onclick: () => {
                this.page = name;
                this.render();
                document.getElementById(`water-tab-${name}`)?.focus();
                void this.open();
              },
            },
            t(PAGE_NAMES[name]),
          ),
        ),
      ),
      this.body,
    );
    fill(this.body, this.pages[this.page].element);
    document.getElementById(`water-tab-${this.page}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
