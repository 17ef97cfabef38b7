// Speaks with the service, in its own origin. The key is kept in this module and nowhere else.

let key = "";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function useKey(text) {
  key = text.trim();
}

async function send(method, path, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, cache: "no-store", redirect: "error" });
  } catch {
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.status === 204) return null;
  const values = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, values.detail ?? `The service answered with ${answer.status}.`);
  return values;
}

export const get = (path) => send("GET", path);
export const remove = (path) => send("DELETE", path);

// Fields with photos are lists of files; those without a value are left out.
export function post(path, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) value.forEach((file, place) => form.append(name, file, `${name}-${place}`));
    else if (value !== null && value !== undefined) form.append(name, value);
  }
  return send("POST", path, form);
}

export const subjectPath = (name) => `/v1/subjects/${encodeURIComponent(name)}`;
