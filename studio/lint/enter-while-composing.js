/**
 * The Enter that confirms what an input method composes never sends. A line of text sends its form
 * by Enter, and one cannot tell from its own file whether it will stand in a form, so every one has
 * the guard of `src/ui/useComposition`; a longer text where it takes keys.
 */
const GUARDS = new Set(["inForm", "following"]);
/** Inputs that no words are composed in. */
const WORDLESS = new Set(["checkbox", "file", "hidden", "radio", "range"]);

/** @type {import("eslint").Rule.RuleModule} */
export const enterWhileComposing = {
  meta: {
    type: "problem",
    schema: [],
    messages: { guard: "Spread `inForm` or `following` of `useComposition` on this field." },
  },
  create(context) {
    return {
      JSXOpeningElement(node) {
        const attributes = new Map(node.attributes.map((one) => [one.name?.name, one.value]));
        const guarded = node.attributes.some(
          (one) => one.type === "JSXSpreadAttribute" && GUARDS.has(one.argument.name),
        );
        const takesEnter =
          (node.name.name === "input" &&
            !WORDLESS.has(attributes.get("type")?.value) &&
            !attributes.has("readOnly")) ||
          (node.name.name === "textarea" && attributes.has("onKeyDown"));
        if (takesEnter && !guarded) context.report({ node, messageId: "guard" });
      },
    };
  },
};
