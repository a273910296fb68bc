import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

import { noLiteralText } from "./lint/no-literal-text.js";

export default tseslint.config(
  { ignores: ["node_modules", "src/api/schema.d.ts"] },
  ...tseslint.configs.strict,
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": hooks, studio: { rules: { "no-literal-text": noLiteralText } } },
    rules: {
      ...hooks.configs.recommended.rules,
      "studio/no-literal-text": "error",
      "no-console": "error",
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 90, skipComments: true }],
      "max-params": ["error", 5],
      eqeqeq: "error",
    },
  },
);
