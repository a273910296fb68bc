import { assistants } from "./assistants";
import { finding } from "./finding";
import { inside } from "./inside";
import { mcp } from "./mcp";
import { person } from "./person";
import { prompts } from "./prompts";
import { running } from "./running";
import { steps } from "./steps";
import { talking } from "./talking";
import { tokenizers } from "./tokenizers";
import { training } from "./training";

/**
 * Every English text of the studio. A value is a text, or a function of what it speaks about.
 * `ja/` has the same shape (the compiler checks that, and a test checks the words).
 * Terms follow `docs/glossary.md`.
 */
export const en = {
  product: "Kataribe",
  nav: {
    label: "Pages",
    use: "Use",
    run: "Run",
    make: "Make",
    tokenizers: "Tokenizers",
    training: "Training",
    chat: "Chat",
    assistants: "Assistants",
    prompts: "Prompts",
    models: "Models",
    settings: "Settings",
    keys: "Keys",
    skip: "Skip to the page",
    newChat: "New chat",
  },
  page: {
    missing: "There is no page at this address",
    missingWhy: "The link may be old, or mistyped.",
    toChat: "Go to the chat",
    crashed: "This page broke down",
    crashedWhy: "This is a fault in the studio. What you typed is kept in this browser.",
    reload: "Load the page again",
  },
  notice: {
    undo: "Undo",
    dismiss: "Close this notice",
  },
  error: {
    said: "The server said:",
    wait: (s: string) => `Try again in ${s} s`,
    offline: {
      what: "No answer from the server",
      why: "Kataribe is not running, or cannot be reached. Start it with “make up” or “kataribe up”, then try again.",
    },
    broken: {
      what: "The reply broke off",
      why: "The connection to the server ended early. What had arrived is kept above.",
    },
    unsent: {
      what: "Nobody has confirmed this message",
      why: "The page was left before the server answered. Sending it again is safe: it acts once.",
    },
    key: {
      what: "This server asks for a key",
      why: "Enter the key it was started with. What you wrote is kept.",
    },
    busy: {
      what: "The server is full at the moment",
      why: "Too many requests wait already. Your message is kept; try again shortly.",
    },
    unavailable: {
      what: "The model is not ready",
      why: "It is being loaded, the server is stopping, or memory does not suffice.",
    },
    context: {
      what: "The conversation is longer than the model can read",
      why: "Nothing was cut off in silence. Start a new chat, shorten the message, or choose a model with a longer context.",
    },
    model: {
      what: "There is no such model",
      why: "It may have been removed. Choose another one above, then try again.",
    },
    gone: {
      what: "It is not there any more",
      why: "It was deleted, or changed in another window.",
    },
    taken: {
      what: "Somebody has written there meanwhile",
      why: "It was changed, deleted or made elsewhere. What you wrote is kept here; choose what holds.",
    },
    storage: {
      what: "It could not be written down",
      why: "The disk may be full. What you wrote is kept here; make room, then try again.",
    },
    refused: {
      what: "The server refused this request",
      why: "Change what it names below, then try again.",
    },
    server: {
      what: "The server failed",
      why: "This is a fault in the server. Its log says more; trying again may help.",
    },
    unreadable: {
      what: "The answer could not be read",
      why: "Something that is not Kataribe may stand between this page and the server.",
    },
  },
  key: {
    label: "Key",
    hide: "Hide the key",
    show: "Show the key",
    use: "Use this key",
    where: "Kept in this browser until you remove it in the settings.",
    empty: "Enter the key first.",
    ascii: "A key has only letters, digits and signs of ASCII, and no spaces.",
  },
  keys: {
    title: "Keys",
    close: "Close",
    focus: "Go to the message field, or to the search of the models",
    search: "Search the conversations",
    help: "Show these keys",
    stop: "Stop the reply, or close",
    save: "Save the assistant",
    send: "Send the message",
    line: "Break the line",
    inList: "In the list of conversations",
    step: "Go up and down",
    name: "Change the title",
    remove: "Delete the conversation",
    composing: "While an input method composes, Enter only confirms the words.",
  },
  ...talking,
  ...steps,
  ...mcp,
  ...finding,
  ...running,
  ...person,
  ...inside,
  ...tokenizers,
  ...assistants,
  ...prompts,
  ...training,
};
