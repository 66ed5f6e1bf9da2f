/** Snapshots of one camera through time: thumbnails, and one after the other in large. */
import { address } from "../api/client";
import { t } from "../i18n";
import { fill, h, iconButton } from "./dom";
import { errorBox, loadingBox } from "./notice";
import { getSnapshots, type CameraProperties, type Snapshot } from "./observationapi";
import { chinaTime } from "./observationtime";

export class SnapshotStrip {
  readonly element = h("div", { class: "stack" });
  private shots: Snapshot[] = [];
  private name = "";
  private turn = 0;

  async open(camera: CameraProperties): Promise<void> {
    const turn = ++this.turn;
    this.name = camera.name;
    fill(this.element, loadingBox(t("loading")));
    try {
      const found = await getSnapshots(camera.camera);
      if (turn !== this.turn) return;
      this.shots = found;
    } catch (error) {
      if (turn === this.turn) fill(this.element, errorBox(error, () => void this.open(camera)));
      return;
    }
    this.render();
  }

  private render(): void {
    if (!this.shots.length) return fill(this.element, h("p", { class: "hint" }, t("obsNoShots")));
    fill(
      this.element,
      h(
        "div",
        { class: "obs-shots", role: "list" },
        this.shots.map((shot, index) =>
          h(
            "figure",
            { role: "listitem" },
            h(
              "button",
              { type: "button", "data-shot": String(shot.id), "aria-label": t("obsEnlarge", { time: chinaTime(shot.time) }), onclick: () => this.enlarge(index) },
              h("img", { src: address(shot.thumbnail), alt: "", loading: "lazy", width: 150, height: Math.round((150 * shot.height) / shot.width) }),
            ),
            h("figcaption", {}, chinaTime(shot.time)),
          ),
        ),
      ),
    );
  }

  /** One snapshot in large; the arrows go through time. */
  private enlarge(start: number): void {
    let at = start;
    const picture = h("img", { class: "obs-large" });
    const caption = h("p", { role: "status" });
    const link = h("a", { class: "link", target: "_blank", rel: "noopener" }, t("obsOriginal"));
    const older = iconButton("back", t("obsOlder"), () => go(at + 1));
    const newer = iconButton("forward", t("obsNewer"), () => go(at - 1));
    const element = h("dialog", { class: "dialog obs-lightbox", "aria-label": this.name });
    const go = (to: number): void => {
      const shot = this.shots[to];
      if (!shot) return;
      at = to;
      picture.src = address(shot.href);
      picture.alt = `${this.name} ${chinaTime(shot.time)}`;
      link.href = address(shot.href);
      fill(caption, `${chinaTime(shot.time)} · ${this.shots.length - at}/${this.shots.length}`, shot.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null);
      older.disabled = at === this.shots.length - 1;
      newer.disabled = at === 0;
    };
    fill(
      element,
      h("header", {}, h("h2", {}, this.name), h("button", { type: "button", class: "icon-button", "aria-label": t("close"), onclick: () => element.close() }, "✕")),
      h("div", { class: "dialog-body" }, picture, h("div", { class: "water-controls" }, older, newer, caption, link)),
    );
    element.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") go(at + 1);
      if (event.key === "ArrowRight") go(at - 1);
    });
    element.addEventListener("click", (event) => {
      if (event.target === element) element.close();
    });
    element.addEventListener("close", () => element.remove());
    document.body.append(element);
    go(start);
    element.showModal();
  }
}
