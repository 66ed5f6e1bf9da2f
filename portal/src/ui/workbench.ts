/** Active layers (已加载图层): order, opacity, visibility, legend, removal, addresses. Catalogue and workbench are two lists. */
import type { App } from "../app";
import type { LayerInfo } from "../api/types";
import type { ActiveLayer } from "../share";
import { pick, t } from "../i18n";
import { showApi, showCard } from "./card";
import { fill, h, iconButton } from "./dom";
import { legendElement, shownLegend } from "./legend";
import { emptyBox } from "./notice";

export class Workbench {
  readonly element = h("section", { class: "stack", id: "workbench", "aria-label": t("activeLayers") });
  private readonly list = h("ol", { class: "active-list" });
  private dragged: string | null = null;

  constructor(
    private readonly app: App,
    private readonly zoomTo: (layer: LayerInfo) => void,
  ) {
    this.element.append(this.list);
    this.render();
  }

  render(): void {
    const { app } = this;
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["focus"] : undefined;
    const rows = app.layers.flatMap((active, index) => {
      const info = app.info(active.id);
      return info ? [this.row(active, info, index)] : [];
    });
    const missing = app.missing.length
      ? h("li", { class: "box warning" }, t("missingLayers", { ids: app.missing.join(", ") }))
      : null;
    const pictures = app.pictures.map((picture) =>
      h(
        "li",
        { class: "active-layer", "data-picture": picture.id },
        h(
          "div",
          { class: "active-head" },
          h("span", { class: "name" }, pick(picture.title)),
          iconButton("close", t("removeLayer", { layer: pick(picture.title) }), picture.remove),
        ),
        picture.synthetic ? h("p", { class: "tag synthetic wide" }, t("syntheticLong")) : null,
      ),
    );
    fill(this.list, missing, rows, pictures, rows.length || pictures.length ? null : h("li", {}, this.empty()));
    if (focus) {
      const again = this.list.querySelector<HTMLButtonElement>(`[data-focus="${focus}"]`);
      // At the end of the list the button that was pressed is disabled: its twin takes the focus.
      if (again && !again.disabled) again.focus();
      else {
        const twin = focus.startsWith("up ") ? focus.replace("up ", "down ") : focus.replace("down ", "up ");
        this.list.querySelector<HTMLElement>(`[data-focus="${twin}"]`)?.focus();
      }
    }
  }

  private empty(): HTMLElement {
    const { catalogue } = this.app;
    const suggestions = (catalogue?.layers ?? [])
      .filter((l) => l.style.type === "ramp" || l.style.type === "classes" || l.theme.includes("administrative"))
      .filter((l) => !l.synthetic)
      .slice(0, 3);
    return emptyBox(
      h("p", {}, t("noActiveLayers")),
      suggestions.map((l) =>
        h("button", { type: "button", class: "button small", onclick: () => this.app.add(l.id) }, `＋ ${pick(l.title)}`),
      ),
    );
  }

  private row(active: ActiveLayer, info: LayerInfo, index: number): HTMLElement {
    const { app } = this;
    const name = pick(info.title);
    const percent = h("output", { class: "percent" }, `${Math.round(active.opacity * 100)}%`);
    const slider = h("input", {
      type: "range",
      min: "0",
      max: "100",
      step: "5",
      value: String(Math.round(active.opacity * 100)),
      "aria-label": t("opacityOf", { layer: name }),
      "data-focus": `opacity ${info.id}`,
      oninput: () => {
        percent.value = `${slider.value}%`;
        // Rendering the list anew would take the slider out of the user's hand.
        const layer = app.layers.find((l) => l.id === info.id);
        if (layer) layer.opacity = Number(slider.value) / 100;
        this.onOpacity(info.id);
      },
    });
    const errors = app.tileErrors.get(info.id) ?? 0;
    const item = h(
      "li",
      { class: active.visible ? "active-layer" : "active-layer off", draggable: "true", "data-layer": info.id },
      h(
        "div",
        { class: "active-head" },
        h("span", { class: "drag", title: t("dragHint"), "aria-hidden": "true" }, "⠿"),
        h("span", { class: "name", title: name }, name),
        iconButton(active.visible ? "eye" : "eyeoff", t(active.visible ? "hideLayer" : "showLayer", { layer: name }), () =>
          app.update(info.id, { visible: !active.visible }), { "data-focus": `eye ${info.id}`, "aria-pressed": String(active.visible) }),
        iconButton("up", t("moveUp", { layer: name }), () => app.move(info.id, index - 1), {
          disabled: index === 0,
          "data-focus": `up ${info.id}`,
        }),
        iconButton("down", t("moveDown", { layer: name }), () => app.move(info.id, index + 1), {
          disabled: index === app.layers.length - 1,
          "data-focus": `down ${info.id}`,
        }),
        iconButton("close", t("removeLayer", { layer: name }), () => app.remove(info.id)),
      ),
      info.synthetic ? h("p", { class: "tag synthetic wide" }, t("syntheticLong")) : null,
      app.scenario?.layer === info.id ? h("p", { class: "tag scenario" }, t("whatIfShown")) : null,
      errors ? h("p", { class: "box error small", role: "alert" }, t("tilesFailed", { n: errors })) : null,
      h("div", { class: "active-tools" }, h("span", { class: "hint" }, t("opacity")), slider, percent),
      this.legend(info, active.visible),
      h(
        "div",
        { class: "active-links" },
        h("span", { class: "hint" }, `${pick(info.attribution)} · ${info.version}`),
        info.whatif ? iconButton("sliders", t("whatIfOf", { layer: name }), () => this.onWhatIf(info.id), { "data-whatif": info.id }) : null,
        iconButton("zoom", t("zoomToLayer"), () => this.zoomTo(info)),
        iconButton("info", t("aboutLayer", { layer: name }), () => showCard(info, () => this.zoomTo(info))),
        iconButton("code", t("apiOf", { layer: name }), () => showApi(info)),
      ),
    );
    this.makeDraggable(item, info.id, index);
    return item;
  }

  /** Called while a slider moves. */
  onOpacity: (id: string) => void = () => {};

  /** Called to open the what-if panel of a layer. */
  onWhatIf: (id: string) => void = () => {};

  private legend(info: LayerInfo, open: boolean): HTMLElement {
    const box = h("details", { class: "legend-box", open }, h("summary", {}, t("legend")));
    const body = h("div", {}, h("p", { class: "hint" }, t("loading")));
    box.append(body);
    shownLegend(info, this.app.scenario)
      .then((legend) => fill(body, legendElement(legend)))
      .catch(() => fill(body, h("p", { class: "hint" }, t("legendFailed"))));
    return box;
  }

  private makeDraggable(item: HTMLElement, id: string, index: number): void {
    item.addEventListener("dragstart", (event) => {
      if ((event.target as HTMLElement).closest("input")) return event.preventDefault();
      this.dragged = id;
      event.dataTransfer?.setData("text/plain", id);
      item.classList.add("dragging");
    });
    item.addEventListener("dragend", () => {
      this.dragged = null;
      item.classList.remove("dragging");
    });
    item.addEventListener("dragover", (event) => {
      if (!this.dragged || this.dragged === id) return;
      event.preventDefault();
      item.classList.add("drop");
    });
    item.addEventListener("dragleave", () => item.classList.remove("drop"));
    item.addEventListener("drop", (event) => {
      event.preventDefault();
      if (this.dragged) this.app.move(this.dragged, index);
    });
    // A slider inside a draggable item would drag the item.
    for (const input of item.querySelectorAll("input")) {
      input.addEventListener("pointerdown", () => (item.draggable = false));
      input.addEventListener("pointerup", () => (item.draggable = true));
      input.addEventListener("pointercancel", () => (item.draggable = true));
    }
  }
}
