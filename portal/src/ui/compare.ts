/** 对比分析: swipe one layer against what lies under it; the divider is a slider that keys move as well. */
import type { App } from "../app";
import { pick, t } from "../i18n";
import { fill, h } from "./dom";

export class SwipePanel {
  readonly element = h("div", { class: "stack" });
  private readonly divider: HTMLElement;

  constructor(
    private readonly app: App,
    private readonly host: HTMLElement,
  ) {
    this.divider = h("div", {
      class: "swipe",
      role: "slider",
      tabindex: "0",
      "aria-orientation": "horizontal",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      hidden: true,
    });
    this.divider.append(h("span", { class: "swipe-handle", "aria-hidden": "true" }, "⇔"));
    host.append(this.divider);
    this.divider.addEventListener("pointerdown", (event) => {
      this.divider.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.divider.focus();
    });
    this.divider.addEventListener("pointermove", (event) => {
      if (!this.divider.hasPointerCapture(event.pointerId)) return;
      const box = this.host.getBoundingClientRect();
      this.to((event.clientX - box.left) / box.width);
    });
    this.divider.addEventListener("keydown", (event) => {
      const { swipe } = app;
      if (!swipe) return;
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
      if (step !== undefined) this.to(swipe.at + step);
      else if (event.key === "Home") this.to(0);
      else if (event.key === "End") this.to(1);
      else return;
      event.preventDefault();
    });
    app.on(["swipe", "layers", "pictures"], () => this.place());
    this.render();
  }

  private to(at: number): void {
    const { swipe } = this.app;
    if (swipe) this.app.setSwipe({ layer: swipe.layer, at: Math.min(1, Math.max(0, at)) });
  }

  private place(): void {
    const { swipe } = this.app;
    const title = swipe ? this.app.swipeTitle(swipe.layer) : undefined;
    this.divider.hidden = !title;
    if (!title || !swipe) return;
    this.divider.style.left = `${swipe.at * 100}%`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(swipe.at * 100)));
    this.divider.setAttribute("aria-label", t("swipeOf", { layer: pick(title) }));
  }

  render(): void {
    const layers = this.app.visible();
    const { swipe } = this.app;
    const select = h(
      "select",
      {
        id: "swipe-layer",
        onchange: () => {
          const id = select.value;
          this.app.setSwipe(id ? { layer: id, at: swipe?.at ?? 0.5 } : null);
        },
      },
      h("option", { value: "" }, t("swipeOff")),
      layers.map((l) => h("option", { value: l.id, selected: l.id === swipe?.layer }, pick(l.title))),
    );
    fill(
      this.element,
      h("h3", {}, t("swipe")),
      layers.length
        ? h("label", { class: "field" }, h("span", {}, t("swipeHint")), select)
        : h("p", { class: "hint" }, t("swipeNeedsLayer")),
    );
    this.place();
  }
}
