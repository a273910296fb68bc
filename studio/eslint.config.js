import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

import { enterWhileComposing } from "./lint/enter-while-composing.js";
import { noLiteralText } from "./lint/no-literal-text.js";

export default tseslint.config(
  { ignores: ["node_modules", "src/api/schema.d.ts"] },
  ...tseslint.configs.strict,
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: {
      "react-hooks": hooks,
      studio: {
        rules: {
          "enter-while-composing": enterWhileComposing,
          "no-literal-text": noLiteralText,
        },
      },
    },
    rules: {
      ...hooks.configs.recommended.rules,
      "studio/enter-while-composing": "error",
      "studio/no-literal-text": "error",
      "no-console": "error",
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 90, skipComments: true }],
      "max-params": ["error", 5],
      eqeqeq: "error",
    },
  },
);
