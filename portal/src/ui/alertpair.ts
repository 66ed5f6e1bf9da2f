/** The two scenes that an alert names, side by side: what the card of an event and the list of alerts show. */
import { t } from "../i18n";
import { h } from "./dom";
import { chipAddress } from "./waterapi";

/** Scenes of an alert; an empty text stands for one that is not recorded. */
export interface AlertScenes {
  collection: string;
  before: string;
  after: string;
  layer: string;
  feature: number | string;
}

/**
 * Pictures of both scenes with the outline of the alert; null where it names none.
 *
 * @param day day of a scene, empty if it is not known
 * @param compare what a click on a picture does
 */
export function alertPair(scenes: AlertScenes, day: (scene: string) => string, compare: (() => void) | null): HTMLElement | null {
  const { collection, before, after, layer, feature } = scenes;
  if (!collection || (!before && !after)) return null;
  const chip = (scene: string, key: "waterChipBefore" | "waterChipAfter"): HTMLElement => {
    const text = t(key, { scene: day(scene) || scene || t("waterNotRecorded") });
    if (!scene) return h("figure", {}, h("figcaption", {}, text));
    const picture = h("img", { src: chipAddress(collection, scene, layer, feature), alt: text, title: text, loading: "lazy" });
    const shown = compare ? h("button", { type: "button", "aria-label": `${t("waterBeforeAfter")}: ${text}`, onclick: compare }, picture) : picture;
    const figure = h("figure", { "data-scene": scene }, shown, h("figcaption", {}, text));
    picture.onerror = () => figure.replaceChildren(h("p", { class: "hint" }, `${text}: ${t("waterChipFailed")}`));
    return figure;
  };
  return h("div", { class: "alert-pair" }, chip(before, "waterChipBefore"), chip(after, "waterChipAfter"));
}
