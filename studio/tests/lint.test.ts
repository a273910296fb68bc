import { RuleTester } from "eslint";
import { describe, it } from "vitest";

import { enterWhileComposing } from "../lint/enter-while-composing.js";
import { noLiteralText } from "../lint/no-literal-text.js";

RuleTester.describe = describe;
RuleTester.it = it;
const tester = new RuleTester({
  languageOptions: { parserOptions: { ecmaFeatures: { jsx: true } } },
});
const errors = [{ messageId: "literal" }];

tester.run("no-literal-text", noLiteralText, {
  valid: [
    "<p>{text.chat.send}</p>",
    "<p>{count} · {total}</p>",
    '<p className="soft" id="a">—</p>',
    '<button type="button" aria-label={text.close} />',
    "<p>{kept ? text.a : null}</p>",
  ],
  invalid: [
    { code: "<p>Send</p>", errors },
    { code: "<p>送信</p>", errors },
    { code: '<p>{"Send"}</p>', errors },
    { code: '<p>{open ? "Open" : text.a}</p>', errors },
    { code: "<p>{`${n} tokens`}</p>", errors },
    { code: '<input placeholder="Write" />', errors },
    { code: '<a title={open && "Open"} />', errors },
    { code: "<>Send</>", errors },
  ],
});

const unguarded = [{ messageId: "guard" }];

tester.run("enter-while-composing", enterWhileComposing, {
  valid: [
    "<input value={words} {...inForm} />",
    '<input type="search" {...following} onKeyDown={keys} />',
    '<input type="checkbox" checked={on} />',
    '<input type="text" name="username" value={name} readOnly hidden />',
    "<textarea value={words} />",
    "<textarea value={words} {...following} onKeyDown={keys} />",
  ],
  invalid: [
    { code: "<input value={words} />", errors: unguarded },
    { code: "<input {...ties} value={words} />", errors: unguarded },
    { code: '<input type="search" value={words} />', errors: unguarded },
    { code: '<input type={shown ? "text" : "password"} />', errors: unguarded },
    { code: "<textarea value={words} onKeyDown={keys} />", errors: unguarded },
  ],
});
