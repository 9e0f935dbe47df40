// generate.mjs OPENAPI.JSON OUT.D.TS: types from the document; a binary body is a Blob, and what has
// a default may be left out.
import fs from "node:fs";
import ts from "typescript";
import openapiTS, { astToString } from "openapi-typescript";

const blob = ts.factory.createTypeReferenceNode(ts.factory.createIdentifier("Blob"));
const ast = await openapiTS(JSON.parse(fs.readFileSync(process.argv[2], "utf8")), {
  defaultNonNullable: false,
  transform: (schema) => (schema.format === "binary" ? blob : undefined),
});
fs.writeFileSync(process.argv[3], astToString(ast));
