/**
 * Text that a person reads comes from the catalogue (`src/i18n`), so that no page speaks one
 * language only. Reports words written into JSX: as children, as strings in braces, and in the
 * attributes that browsers and screen readers show.
 */
const SHOWN = new Set(["alt", "aria-label", "aria-description", "label", "placeholder", "title"]);
const LETTER = /\p{L}/u;

/** Strings that an expression may yield: itself, either arm of a choice, parts of a template. */
function* strings(node) {
  if (!node) return;
  if (node.type === "Literal" && typeof node.value === "string") yield [node, node.value];
  if (node.type === "TemplateLiteral")
    for (const part of node.quasis) yield [part, part.value.cooked ?? ""];
  if (node.type === "ConditionalExpression") {
    yield* strings(node.consequent);
    yield* strings(node.alternate);
  }
  if (node.type === "LogicalExpression") {
    yield* strings(node.left);
    yield* strings(node.right);
  }
  if (node.type === "JSXExpressionContainer") yield* strings(node.expression);
}

/** @type {import("eslint").Rule.RuleModule} */
export const noLiteralText = {
  meta: {
    type: "problem",
    schema: [],
    messages: { literal: "“{{text}}” is shown to people: put it into the catalogue (src/i18n)." },
  },
  create(context) {
    const report = (node, text) => {
      if (LETTER.test(text))
        context.report({ node, messageId: "literal", data: { text: text.trim() } });
    };
    return {
      JSXText: (node) => report(node, node.value),
      JSXElement(node) {
        for (const child of node.children)
          if (child.type === "JSXExpressionContainer")
            for (const [at, text] of strings(child)) report(at, text);
      },
      JSXFragment(node) {
        for (const child of node.children)
          if (child.type === "JSXExpressionContainer")
            for (const [at, text] of strings(child)) report(at, text);
      },
      JSXAttribute(node) {
        if (!SHOWN.has(node.name.name)) return;
        for (const [at, text] of strings(node.value)) report(at, text);
      },
    };
  },
};
