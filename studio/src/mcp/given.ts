/** What a person typed as a tool's arguments. */
export type Given =
  | { arguments: Record<string, unknown> }
  | { fault: "json" }
  | { fault: "object" }
  | { fault: "missing"; names: string[] };

type Schema = Record<string, unknown>;

/** Reads arguments; what the schema says beside what must be there, the server checks. */
export function readGiven(typed: string, schema: Schema): Given {
  let value: unknown;
  try {
    value = typed.trim() === "" ? {} : JSON.parse(typed);
  } catch {
    return { fault: "json" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { fault: "object" };
  const given = value as Record<string, unknown>;
  const names = required(schema).filter((name) => !Object.hasOwn(given, name));
  return names.length > 0 ? { fault: "missing", names } : { arguments: given };
}

/** Arguments to begin with: all that must be there, empty in its own way. */
export function begun(schema: Schema): string {
  const fields = asObject(schema["properties"]);
  const made = required(schema).map((name) => [name, empty(asObject(fields[name]))] as const);
  return JSON.stringify(Object.fromEntries(made), null, 2);
}

/** Names of environment variables as they are typed: with spaces or commas between them. */
export function variables(typed: string): string[] {
  return [...new Set(typed.split(/[\s,、，]+/u).filter((name) => name !== ""))];
}

function required(schema: Schema): string[] {
  const names = schema["required"];
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}

function asObject(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Schema)
    : {};
}

function empty(schema: Schema): unknown {
  if ("default" in schema) return schema["default"];
  if ("const" in schema) return schema["const"];
  const choices = schema["enum"];
  if (Array.isArray(choices) && choices.length > 0) return choices[0] as unknown;
  const type: unknown = Array.isArray(schema["type"])
    ? (schema["type"] as unknown[])[0]
    : schema["type"];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  if (type === "array") return [];
  if (type === "object") return {};
  return type === "null" ? null : "";
}
