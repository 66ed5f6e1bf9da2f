/** One case: where it is, what it was compared with, before and after, the steps that it may take, its history. */
import { address } from "../api/client";
import { pick, t } from "../i18n";
import { fill, h, type Child } from "./dom";
import { errorBox, loadingBox, toast } from "./notice";
import type { DeskHost, Page } from "./riverchief";
import { addPhoto, getCase, takeStep, type AllowedStep, type Box, type CaseDocument, type Opened, type Side } from "./riverchiefapi";
import { facts, flagBadges, labelled, percent, photoLimit, smallEnough, stateBadge, waiting, when } from "./riverchiefparts";

export class CasePage implements Page {
  readonly element = h("article", { class: "stack rc-case", id: "river-chief-case" });

  constructor(
    private readonly host: DeskHost,
    private readonly id: number,
    private readonly back: () => void,
  ) {}

  show(): void {
    fill(this.element, loadingBox(t("loading")));
    void this.load(true);
  }

  private async load(first: boolean): Promise<void> {
    try {
      const opened = await getCase(this.id);
      this.draw(opened);
      if (first) {
        this.host.locate(opened.document.bbox);
        this.element.querySelector<HTMLElement>("h3")?.focus({ preventScroll: true });
      }
    } catch (error) {
      fill(this.element, this.backButton(), errorBox(error, () => this.show()));
    }
  }

  private backButton(): HTMLElement {
    return h("button", { type: "button", class: "button small", id: "river-chief-back", onclick: this.back }, `← ${t("riverChiefBack")}`);
  }

  private draw(opened: Opened): void {
    const { document: found } = opened;
    const p = found.properties;
    fill(
      this.element,
      h("div", { class: "rc-buttons" }, this.backButton(),
        h("button", { type: "button", class: "button small", onclick: () => this.host.locate(found.bbox) }, t("riverChiefOnMap"))),
      h("h3", { tabindex: "-1" }, p.title),
      h("p", { class: "rc-line", id: "river-chief-state", role: "status" }, stateBadge(this.host.desk, p), flagBadges(p.flags)),
      p.description ? h("p", {}, p.description) : null,
      facts(p.number, [
        [t("riverChiefDue"), p.due ? when(p.due) : "—"],
        [t("riverChiefKind"), [pick(p.kind_title) || "—", p.severity_title ? ` · ${pick(p.severity_title)}` : ""]],
        [t("area"), `${p.area_m2.toLocaleString()} m² (${p.area_mu.toLocaleString()} 亩)`],
        [t("riverChiefPlace"), [p.reach_name ?? "—", p.chainage ? ` ${p.chainage}` : ""]],
        [t("riverChiefUnit"), p.unit ?? "—"],
        [t("riverChiefChief"), p.chief ?? "—"],
      ]),
      this.pictures(found),
      this.checks(found),
      this.steps(opened),
      this.photos(found),
      this.timeline(found),
    );
  }

  /** The two dates side by side: the picture drawn from the scene of the alert, else the layer of the date, else a photo. */
  private pictures(found: CaseDocument): HTMLElement {
    const slot = (side: Side, role: string, name: string): HTMLElement => {
      const drawn = found.photos.find((one) => one.role === role && one.scene);
      if (drawn) {
        const text = `${name} ${drawn.date ?? ""}`.trim();
        return h(
          "figure",
          { "data-side": role },
          h("a", { href: address(drawn.href), target: "_blank", rel: "noopener" }, h("img", { class: "rc-chip", src: address(drawn.href), alt: text })),
          h("figcaption", {}, text),
        );
      }
      const photo = found.photos.findLast((one) => one.role === role);
      const source = side.image ?? photo?.href;
      const text = `${name} ${side.date ?? ""}`.trim();
      const picture = source
        ? h("div", { class: "rc-picture" }, h("img", { src: address(source), alt: text, loading: "lazy" }), side.bbox ? outline(found, side.bbox) : null)
        : h("div", { class: "rc-empty" }, side.reason ? pick(side.reason) : t("riverChiefNoPicture"), this.pictureUpload(found, role, name));
      return h("figure", { "data-side": role }, picture, h("figcaption", {}, text));
    };
    const { before, after } = found.properties;
    return h(
      "div",
      { class: "rc-pictures", id: "river-chief-pictures" },
      slot(before, "before", t("riverChiefBefore")),
      slot(after, "after", t("riverChiefAfter")),
    );
  }

  /** A picture for an empty slot, where the case still takes one. */
  private pictureUpload(found: CaseDocument, role: string, name: string): Child {
    const { desk } = this.host;
    if (desk.editing === "off" || !found.steps.length) return null;
    const place = h("div", { role: "alert" });
    const file = h("input", {
      type: "file",
      accept: desk.photos.types.join(","),
      "aria-label": `${t("riverChiefAddPicture")}: ${name}`,
      onchange: () => {
        const chosen = file.files?.[0];
        if (!chosen || !smallEnough(desk, chosen, place)) return;
        addPhoto(found.id, role, chosen).then(() => this.load(false)).catch((error: unknown) => place.replaceChildren(errorBox(error)));
      },
    });
    return [file, photoLimit(desk), place];
  }

  private checks(found: CaseDocument): HTMLElement {
    const { range, permits, duplicates, rebounds, repeats = [] } = found.properties.checks;
    const links = (rows: typeof duplicates): Child =>
      rows.length
        ? rows.map((row) =>
            h("button", { type: "button", class: "button small", onclick: () => this.host.openCase(row.case) }, `${row.number} ${percent(row.share)}`))
        : t("riverChiefNothing");
    const shown = permits.list.map((permit) =>
      h("div", {}, `${permit.number} ${permit.purpose} ${percent(permit.share)} · ${permit.valid ? t("riverChiefValid") : t("riverChiefNotValid")}`));
    return facts(t("riverChiefChecks"), [
      [t("riverChiefRange"), range.status === "unknown" ? t("riverChiefUnknown") : t("riverChiefInside", { share: percent(range.share) })],
      [t("riverChiefPermits"), permits.status === "unknown" ? t("riverChiefUnknown") : shown.length ? shown : t("riverChiefNothing")],
      [t("riverChiefDuplicate"), links(duplicates)],
      [t("riverChiefRebound"), links(rebounds)],
      ...(repeats.length ? [[t("riverChiefRepeat"), links(repeats)] as [string, Child]] : []),
    ]);
  }

  private steps(opened: Opened): HTMLElement {
    const { steps } = opened.document;
    const { editing } = this.host.desk;
    return h(
      "section",
      { class: "stack", id: "river-chief-steps", "aria-label": t("riverChiefSteps") },
      h("h4", {}, t("riverChiefSteps")),
      steps.length ? null : h("p", { class: "box success" }, t("riverChiefDone")),
      editing === "off" ? null : steps.map((step) => this.form(opened, step)),
    );
  }

  private form(opened: Opened, step: AllowedStep): HTMLElement {
    const { document: found } = opened;
    const note = h("textarea", { rows: 2, maxLength: 4000, id: `river-chief-note-${step.step}` });
    const place = h("div", { role: "alert" });
    const body: Record<string, unknown> = { step: step.step };
    const extra: Child[] = [];
    if (step.step === "judge") extra.push(this.judgement(found, body));
    if (step.step === "review") extra.push(this.yesNo("passed", t("riverChiefPassed"), t("riverChiefFailed"), body));
    const button = h(
      "button",
      {
        type: "submit",
        class: "button primary",
        id: `river-chief-step-${step.step}`,
      },
      pick(step.title),
    );
    return h(
      "form",
      {
        class: "stack rc-step",
        "aria-label": pick(step.title),
        onsubmit: (event: Event) => {
          event.preventDefault();
          void waiting(button, place, async () => {
            const after = await takeStep(opened, { ...body, note: note.value });
            this.draw(after);
            toast(`${pick(step.title)} ✓`);
            this.element.querySelector<HTMLElement>("#river-chief-steps button, #river-chief-back")?.focus({ preventScroll: true });
            await this.host.changed();
          });
        },
      },
      step.role ? this.upload(found, step, place) : null,
      extra,
      labelled(t("riverChiefNote"), note),
      h("div", { class: "rc-buttons" }, button),
      place,
    );
  }

  private upload(found: CaseDocument, step: AllowedStep, place: HTMLElement): HTMLElement {
    const { desk } = this.host;
    const file = h("input", {
      type: "file",
      id: `river-chief-file-${step.step}`,
      accept: desk.photos.types.join(","),
      onchange: () => {
        const chosen = file.files?.[0];
        if (!chosen || !smallEnough(desk, chosen, place)) return;
        file.disabled = true;
        addPhoto(found.id, step.role ?? "field", chosen)
          .then(() => this.load(false))
          .catch((error: unknown) => place.replaceChildren(errorBox(error)))
          .finally(() => {
            file.disabled = false;
          });
      },
    });
    const have = step.photos_on_file ?? 0;
    return h(
      "div",
      { class: "field" },
      h("label", { htmlFor: file.id }, t("riverChiefPhotosNeeded", { need: step.photos, have })),
      file,
      photoLimit(desk),
    );
  }

  private yesNo(name: string, yes: string, no: string, body: Record<string, unknown>, change: () => void = () => {}): HTMLElement {
    body[name] = true;
    return h(
      "div",
      { class: "rc-radio", role: "radiogroup", "aria-label": `${yes} / ${no}` },
      ([[true, yes], [false, no]] as const).map(([value, text]) =>
        h("label", {}, h("input", { type: "radio", name: `rc-${name}`, checked: value, id: `river-chief-${name}-${value}`, onchange: () => {
          body[name] = value;
          change();
        } }), text)),
    );
  }

  private judgement(found: CaseDocument, body: Record<string, unknown>): HTMLElement {
    const { desk } = this.host;
    const pickOf = (id: string, options: { id: string; title: { zh: string; en: string } }[], chosen: string): HTMLSelectElement =>
      h("select", { id: `river-chief-judge-${id}` }, options.map((one) => h("option", { value: one.id, selected: one.id === chosen }, pick(one.title))));
    const kind = pickOf("kind", desk.kinds, found.properties.kind ?? "other");
    const severity = pickOf("severity", desk.severities, found.suggested_severity);
    const law = h("p", { class: "hint", id: "river-chief-judge-law" });
    const details = h("div", { class: "stack" }, h("div", { class: "rc-filters" }, labelled(t("riverChiefKind"), kind), labelled(t("riverChiefSeverity"), severity)), law);
    const set = (): void => {
      const chosen = desk.kinds.find((one) => one.id === kind.value);
      fill(law, chosen ? pick(chosen.note) : "", chosen?.law ? ` ${t("riverChiefLaw")}: ${pick(chosen.law)}` : "");
      details.hidden = body["problem"] === false;
      if (body["problem"] === false) {
        delete body["kind"];
        delete body["severity"];
      } else Object.assign(body, { kind: kind.value, severity: severity.value });
    };
    kind.onchange = set;
    severity.onchange = set;
    const choice = this.yesNo("problem", t("riverChiefProblem"), t("riverChiefNoProblem"), body, set);
    set();
    return h("div", { class: "stack" }, choice, details);
  }

  private photos(found: CaseDocument): Child {
    const own = found.photos.filter((photo) => !photo.scene);
    if (!own.length) return null;
    return h(
      "section",
      { class: "stack", "aria-label": t("riverChiefPhotos") },
      h("h4", {}, t("riverChiefPhotos")),
      h(
        "div",
        { class: "rc-photos" },
        own.map((photo) => {
          const far = photo.warnings.includes("far");
          const text = [photo.actor, when(photo.at), photo.distance_m === null ? t("riverChiefNoPosition") : `${Math.round(photo.distance_m)} m`].join(" · ");
          return h(
            "figure",
            {},
            h("a", { href: address(photo.href), target: "_blank", rel: "noopener" }, h("img", { src: address(photo.href), alt: photo.name, loading: "lazy" })),
            h("figcaption", { class: far ? "rc-far" : "" }, far ? `⚠ ${t("riverChiefFar")} · ${text}` : text),
          );
        }),
      ),
    );
  }

  private timeline(found: CaseDocument): HTMLElement {
    return h(
      "section",
      { class: "stack", id: "river-chief-timeline", "aria-label": t("riverChiefTimeline") },
      h("h4", {}, t("riverChiefTimeline")),
      h(
        "ol",
        { class: "rc-timeline" },
        found.events.map((event) =>
          h(
            "li",
            { "data-step": event.step },
            h("strong", {}, pick(event.title)),
            event.late ? h("span", { class: "rc-flag bad" }, t("riverChiefLate")) : null,
            h("span", { class: "hint" }, ` ${when(event.at)} · ${event.actor}${event.unit ? ` (${event.unit})` : ""}`),
            event.note ? h("p", {}, event.note) : null,
          ),
        ),
      ),
    );
  }
}

/** The place of the case drawn over a picture of a known box. */
function outline(found: CaseDocument, [west, south, east, north]: Box): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const at = ([x, y]: [number, number]): string => `${((100 * (x - west)) / (east - west)).toFixed(2)} ${((100 * (north - y)) / (north - south)).toFixed(2)}`;
  path.setAttribute("d", found.geometry.coordinates.flat().map((ring) => `M${ring.map(at).join("L")}Z`).join(""));
  path.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(path);
  return svg;
}
