// What every page needs: the theme, filters that apply at once, and the parts that only some need.

const root = document.documentElement;
const base = document.body.dataset.root;
root.classList.add("js");

function shownTheme() {
  if (root.dataset.theme) return root.dataset.theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

const toggle = document.querySelector("[data-theme-toggle]");
if (toggle) {
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const theme = shownTheme() === "dark" ? "light" : "dark";
    root.dataset.theme = theme;
    // The server writes it into the page, so that the next page does not flash in the other one.
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `floorline_theme=${theme}; Path=${base}/dashboard; Max-Age=31536000; SameSite=Strict${secure}`;
    document.dispatchEvent(new CustomEvent("floorline:theme"));
  });
}

for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

if (document.querySelector("figure.chart")) import("./charts.js");
if (document.querySelector("[data-live], [data-tick], figure.chart")) import("./live.js");
