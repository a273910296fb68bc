import { useRef } from "react";

import type { RecipeProblem } from "../api/assistants";
import { useText } from "../i18n";
import { lineRange } from "./fields";

interface Props {
  text: string;
  problems: readonly RecipeProblem[];
  onText: (text: string) => void;
}

/** The recipe as its file says it; a problem leads to its line. */
export function YamlTab({ text: recipe, problems, onText }: Props) {
  const text = useText();
  const words = text.assistants;
  const field = useRef<HTMLTextAreaElement>(null);
  const go = (line: number) => {
    const [start, end] = lineRange(recipe, line);
    const at = field.current;
    if (!at) return;
    at.focus();
    at.setSelectionRange(start, end);
    // Browsers do not scroll to a selection that a script makes.
    const height = at.scrollHeight / Math.max(1, recipe.split("\n").length);
    at.scrollTop = Math.max(0, (line - 4) * height);
  };
  return (
    <div className="stack">
      <textarea
        ref={field}
        className="field typed yaml"
        aria-label={words.yaml}
        rows={26}
        spellCheck={false}
        wrap="off"
        translate="no"
        value={recipe}
        onChange={(event) => onText(event.target.value)}
      />
      <div role="status" aria-label={words.problems}>
        <ul className="problems">
          {problems.map(({ place, message, line }) => (
            <li key={place + message}>
              {line === null ? null : (
                <button type="button" className="button quiet" onClick={() => go(line)}>
                  {words.line(String(line))}
                </button>
              )}
              <span className="fault small" lang="en" dir="auto">
                {message}
              </span>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
