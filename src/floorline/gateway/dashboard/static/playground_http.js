// Requests of the playground's scripts to the gateway.

const base = `${document.body.dataset.root}/dashboard`;

/** URL of a page of the dashboard. */
export function pageUrl(path) {
  return `${base}/${path}`;
}

/** Send JSON to a path of the playground, with the token of the login. */
export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (document.body.dataset.csrf) headers["X-Floorline-Csrf"] = document.body.dataset.csrf;
  return fetch(pageUrl(`playground/${path}`), { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** Text of an error, whatever answered. */
export async function errorOf(answer) {
  if (answer.status === 401) return "Your login has ended: load this page again and log in.";
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The gateway answers with status ${answer.status}: load this page again.`;
  }
}
