// The generated types must be those of docs/openapi.json as it stands.
import { readFileSync } from "node:fs";

import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";

const document = new URL("../../docs/openapi.json", import.meta.url);
const types = new URL("../src/api/schema.d.ts", import.meta.url);

const expected =
  COMMENT_HEADER + astToString(await openapiTS(document, { defaultNonNullable: false }));
if (readFileSync(types, "utf8") !== expected) {
  console.error("src/api/schema.d.ts is stale against docs/openapi.json: run `npm run api`.");
  process.exit(1);
}
