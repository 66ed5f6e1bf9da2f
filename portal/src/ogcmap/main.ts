/** Script of the HTML pages of the OGC API. */
import { setLang } from "../i18n";
import { PageMap } from "./map";
import { addCopyButtons, addFilterBoxes } from "./page";
import { readSpec } from "./spec";

setLang(document.documentElement.lang.startsWith("zh") ? "zh" : "en");
addCopyButtons();
addFilterBoxes();
const root = document.body.dataset["root"] ?? "./";
for (const host of document.querySelectorAll<HTMLElement>("[data-map]"))
  void new PageMap(host, readSpec(host.dataset["map"]), root).show();
