const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
const DEEPEST = 6; // a schema may contain itself

const $ = (id) => document.getElementById(id);

let spec = {};

// ---------------------------------------------------------------- building

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A paragraph's text, with `spans like this` set as code.
function inline(text) {
  return String(text).split(/`([^`]+)`/).map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

function prose(text) {
  if (!text) return null;
  const paragraphs = String(text).trim().split(/\n\s*\n/);
  return element("div", { class: "prose" }, ...paragraphs.map((paragraph) => element("p", {}, ...inline(paragraph))));
}

function code(text, label) {
  return element("div", { class: "code" }, element("pre", { tabindex: "0", role: "group", "aria-label": label }, element("code", {}, text)));
}

function json(value, label) {
  return code(JSON.stringify(value, null, 2), label);
}

function copyable(heading, text, label) {
  const box = code(text, label);
  const button = element("button", { type: "button" }, "Copy");
  const said = element("span", { role: "status", class: "visually-hidden" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = said.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
    } catch {
      // Without HTTPS there is no clipboard: select the text, for the reader to copy.
      window.getSelection().selectAllChildren(box.querySelector("code"));
      said.textContent = "Selected; copy it with the keyboard.";
    }
  });
  return [element("div", { class: "code-head" }, element("h3", { class: "kicker" }, heading), button), said, box];
}

// ---------------------------------------------------------------- reading the description

function resolve(node, depth = 0) {
  if (typeof node?.$ref !== "string" || depth > DEEPEST) return node ?? {};
  const { $ref, ...beside } = node;
  if (!$ref.startsWith("#/")) return beside;
  const found = $ref.slice(2).split("/")
    .map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((at, step) => at?.[step], spec);
  return { ...resolve(found, depth + 1), ...beside };
}

function merged(raw) {
  const schema = resolve(raw);
  if (!Array.isArray(schema.allOf)) return schema;
  return schema.allOf.map(merged).reduce((sum, part) => ({
    ...sum,
    ...part,
    properties: { ...sum.properties, ...part.properties },
    required: [...(sum.required ?? []), ...(part.required ?? [])],
  }), { ...schema, allOf: undefined });
}

function several(raw, depth) {
  const type = typeOf(raw, depth + 1);
  return /^[a-z]+$/.test(type) ? `${type}s` : type;
}

function typeOf(raw, depth = 0) {
  if (depth > DEEPEST) return "…";
  const schema = merged(raw);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map((option) => typeOf(option, depth + 1)).join(" or ");
  const named = [schema.type ?? (schema.properties ? "object" : "any")].flat().map((type) => {
    if (type === "array") return `array of ${several(schema.items ?? {}, depth)}`;
    if (type === "object" && schema.additionalProperties && !schema.properties) {
      return schema.additionalProperties === true ? "object" : `object of ${several(schema.additionalProperties, depth)}`;
    }
    return type;
  });
  return named.join(" or ") + (schema.nullable ? " or null" : "");
}

function range(least, most, noun) {
  const unit = noun && ` ${noun}${(most ?? least) === 1 ? "" : "s"}`;
  if (least !== undefined && most !== undefined) return `, ${least} to ${most}${unit}`;
  if (least !== undefined) return `, at least ${least}${unit}`;
  return most === undefined ? "" : `, at most ${most}${unit}`;
}

function bounds(schema) {
  return range(schema.minLength, schema.maxLength, "character")
    + range(schema.minimum, schema.maximum, "")
    + range(schema.minItems, schema.maxItems, "item")
    + (schema.format ? `, ${schema.format}` : "");
}

function example(raw, depth = 0) {
  const schema = merged(raw);
  if ("example" in schema) return schema.example;
  if (Array.isArray(schema.examples) && schema.examples.length) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if ("default" in schema) return schema.default;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if (depth > DEEPEST) return null;
  const either = schema.oneOf ?? schema.anyOf;
  if (either?.length) return example(either[0], depth + 1);
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, value]) => [name, example(value, depth + 1)]));
  }
  switch ([schema.type].flat()[0]) {
    case "array": return schema.items ? [example(schema.items, depth + 1)] : [];
    case "object": return {};
    case "integer": case "number": return schema.minimum ?? 0;
    case "boolean": return true;
    case "string": return "string";
    default: return null;
  }
}

// The example beside a schema counts before one made from it.
function exampleOf(media) {
  if ("example" in media) return media.example;
  const named = Object.values(media.examples ?? {})[0];
  if (named !== undefined) return resolve(named).value;
  return media.schema ? example(media.schema) : undefined;
}

function chosen(content = {}) {
  const type = Object.keys(content).find((name) => /json/.test(name)) ?? Object.keys(content)[0];
  return type ? { type, media: content[type] } : null;
}

// ---------------------------------------------------------------- laying out

function fields(raw, depth = 0) {
  const schema = merged(raw);
  const inner = schema.items ? merged(schema.items) : schema;
  if (!inner.properties || depth > DEEPEST) return null;
  const required = new Set(inner.required ?? []);
  const rows = Object.entries(inner.properties).map(([name, value]) => {
    const property = merged(value);
    return element("li", {},
      element("code", {}, name), " ",
      element("span", { class: "type" }, typeOf(property) + bounds(property) + (required.has(name) ? ", required" : "")),
      property.description ? element("p", {}, ...inline(property.description)) : null,
      fields(property, depth + 1));
  });
  return element("ul", { class: "fields" }, ...rows);
}

function parameters(list) {
  if (!list.length) return [];
  const rows = list.map((parameter) => element("li", {},
    element("code", {}, parameter.name), " ",
    element("span", { class: "type" },
      `${typeOf(parameter.schema ?? {})}, in the ${parameter.in}${parameter.required ? ", required" : ""}`),
    parameter.description ? element("p", {}, ...inline(parameter.description)) : null));
  return [element("h3", { class: "kicker" }, "Parameters"), element("ul", { class: "fields" }, ...rows)];
}

function body(request, title) {
  const picked = chosen(request.content);
  if (!picked) return [];
  const shown = exampleOf(picked.media);
  const schema = picked.media.schema ?? {};
  return [
    element("h3", { class: "kicker" }, "Request body"),
    prose(request.description),
    element("p", { class: "type" }, `${typeOf(schema)}, as `, element("code", {}, picked.type), request.required ? ", required" : ""),
    fields(schema),
    shown === undefined ? null : json(shown, `Example body for ${title}`),
  ];
}

function headers(response) {
  const rows = Object.entries(response.headers ?? {}).map(([name, raw]) => {
    const header = resolve(raw);
    return element("li", {}, element("code", {}, name), " ",
      element("span", { class: "type" }, `header, ${typeOf(header.schema ?? {})}`),
      header.description ? element("p", {}, ...inline(header.description)) : null);
  });
  return rows.length ? element("ul", { class: "fields" }, ...rows) : null;
}

function responses(all, title) {
  const parts = Object.entries(all ?? {}).map(([status, raw]) => {
    const response = resolve(raw);
    const picked = chosen(response.content);
    const fine = status.startsWith("2");
    const shown = picked && /json/.test(picked.type) ? exampleOf(picked.media) : undefined;
    return element("div", {},
      element("h4", {}, element("code", {}, status), " ", ...inline(response.description ?? "")),
      headers(response),
      picked ? fields(picked.media.schema ?? {}) : null,
      fine && shown !== undefined ? json(shown, `Example answer of ${title}`) : null);
  });
  return parts.length ? [element("h3", { class: "kicker" }, "Responses"), ...parts] : [];
}

function quoted(text) {
  return `'${String(text).replaceAll("'", "'\\''")}'`;
}

// This page lies beside the API, so its own address is the base, whatever a proxy put before it.
function curl(method, path, operation, list) {
  const query = new URLSearchParams();
  let filled = path;
  for (const parameter of list) {
    const value = parameter.example ?? example(parameter.schema ?? {});
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value));
    if (parameter.in === "query" && parameter.required) query.set(parameter.name, value);
  }
  const url = new URL(filled.replace(/^\//, ""), new URL(".", document.baseURI));
  url.search = query;
  const picked = chosen(resolve(operation.requestBody).content);
  const implied = picked ? "post" : "get";
  const parts = [`curl -sS ${method === implied ? "" : `-X ${method.toUpperCase()} `}${quoted(url.href)}`];
  if (picked) {
    const shown = exampleOf(picked.media);
    parts.push(`-H ${quoted(`Content-Type: ${picked.type}`)}`,
      `-d ${quoted(typeof shown === "string" ? shown : JSON.stringify(shown ?? {}))}`);
  }
  return parts.join(" \\\n  ");
}

function operationSection(id, method, path, operation, shared) {
  const list = [...shared, ...(operation.parameters ?? [])].map((parameter) => resolve(parameter));
  const title = operation.summary || `${method.toUpperCase()} ${path}`;
  return element("section", { class: "operation", id, "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, title),
    element("p", { class: "route" }, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path)),
    prose(operation.description),
    ...copyable("From a terminal", curl(method, path, operation, list), `A curl command for ${title}`),
    ...parameters(list),
    ...body(resolve(operation.requestBody), title),
    ...responses(operation.responses, title));
}

function lay() {
  const { title, version, description } = spec.info ?? {};
  if (title) document.title = `API documentation · ${title}`;
  if (version) $("version").textContent = version;
  $("intro").append(prose(description) ?? "");

  for (const [path, raw] of Object.entries(spec.paths ?? {})) {
    const item = resolve(raw);
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const id = `operation-${$("contents").children.length + 1}`;
      $("contents").append(element("li", {}, element("a", { href: `#${id}` },
        element("strong", { class: "method" }, method.toUpperCase()), element("code", {}, path),
        element("span", {}, operation.summary ?? ""))));
      $("operations").append(operationSection(id, method, path, operation, item.parameters ?? []));
    }
  }
}

async function load() {
  const late = setTimeout(() => { $("docs-status").textContent = "Loading the description of the API…"; }, 300);
  try {
    const response = await fetch("openapi.json", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    spec = await response.json();
    lay();
    document.getElementById(window.location.hash.slice(1))?.scrollIntoView();
  } catch {
    for (const id of ["intro", "contents", "operations"]) $(id).replaceChildren();
    $("docs-error").textContent = "The description of the API could not be loaded. Reload the page to try again.";
  } finally {
    clearTimeout(late);
    $("docs-status").textContent = "";
  }
}

load();
