// Thumbs below an answer. <script type="module"> import { thumbs } from "./thumbs.js"; </script>
//
// element:  where the two buttons go
// decision: value of the answer's header X-Floorline-Decision, which your backend hands to the page
// url:      a path of YOUR backend, which knows the user and sends {decision, satisfied} on to
//           POST /v1/feedback with its API key. A page must never hold that key.
export function thumbs(element, decision, url = "/feedback") {
  const choices = [["👍", "Good answer", true], ["👎", "Bad answer", false]];
  const buttons = choices.map(([sign, label, satisfied]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", async () => {
      const sent = await fetch(url, {
        method: "POST",
        credentials: "same-origin",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ decision, satisfied }),
      }).catch(() => ({ ok: false }));
      if (!sent.ok) return;
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    });
    return button;
  });
  element.append(...buttons);
}
