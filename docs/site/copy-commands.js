// The button beside a console copies its commands, without prompts and without what they print.
document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest("button[data-clipboard-target], .md-code__button");
    const code = button?.closest(".highlight, pre")?.querySelector("code");
    if (!code?.querySelector(".gp")) return;
    const copy = code.cloneNode(true);
    for (const part of copy.querySelectorAll(".gp, .go")) part.remove();
    const lines = copy.textContent.split("\n").filter((line) => line.trim() !== "");
    button.setAttribute("data-clipboard-text", `${lines.join("\n")}\n`);
  },
  true,
);
