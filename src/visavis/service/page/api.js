// Client for the REST API of the page's own origin. The API key is kept in this module and nowhere else.

let apiKey = "";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function setApiKey(text) {
  apiKey = text.trim();
}

async function request(method, path, body) {
  const headers = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
  let response;
  try {
    response = await fetch(path, { method, body, headers, cache: "no-store", redirect: "error" });
  } catch {
    throw new ApiError(0, "The service does not respond.");
  }
  if (response.status === 204) return null;
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, content.detail ?? `The service responded with status ${response.status}.`);
  return content;
}

export const get = (path) => request("GET", path);
export const remove = (path) => request("DELETE", path);

// Posts a multipart form. A list is a field of files; fields that are null or undefined are left out.
export function post(path, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) value.forEach((file, index) => form.append(name, file, `${name}-${index}`));
    else if (value !== null && value !== undefined) form.append(name, value);
  }
  return request("POST", path, form);
}

export const subjectPath = (name) => `/v1/subjects/${encodeURIComponent(name)}`;
