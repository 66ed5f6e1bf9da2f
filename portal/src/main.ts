import "./style.css";
import { App } from "./app";
import { setLang } from "./i18n";
import { decode } from "./share";
import { Shell } from "./ui/shell";

const root = document.getElementById("app");
if (!root) throw new Error("#app is missing");

const app = new App();
const state = decode(location.hash);
setLang(state.lang ?? "zh");
app.restore(state);
const place =
  state.lon !== undefined && state.lat !== undefined ? { lon: state.lon, lat: state.lat, zoom: state.zoom ?? 9 } : {};
const shell = new Shell(app, root, place);

// A link pasted into the address bar of an open portal opens like a new one.
window.addEventListener("hashchange", () => location.reload());

void app.loadCatalogue().then(() => {
  if (place.lon === undefined) shell.view.fit(app.home);
});
