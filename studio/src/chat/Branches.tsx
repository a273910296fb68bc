import type { ReactNode } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { LeftIcon, RightIcon } from "../ui/icons";

interface Props {
  /** Which one is shown, and of how many; the first is 0. */
  at: number;
  of: number;
  kind: "question" | "reply";
  onStep: (to: number) => void;
}

/** Steps between what stands at the same place of a conversation. */
export function Branches({ at, of, kind, onStep }: Props) {
  const text = useText();
  const language = useLanguage();
  if (of < 2) return null;
  const words = kind === "reply" ? text.branches.reply : text.branches.question;
  const step = (to: number, name: string, icon: ReactNode) => (
    <button
      type="button"
      className="button quiet square"
      aria-label={name}
      title={name}
      aria-disabled={to < 0 || to >= of} // not `disabled`: at the end the focus must stay
      onClick={() => to >= 0 && to < of && onStep(to)}
    >
      {icon}
    </button>
  );
  const now = count(language, at + 1);
  const all = count(language, of);
  return (
    <span className="branches">
      {step(at - 1, words.earlier, <LeftIcon size={16} />)}
      <span className="unseen">{words.place(now, all)}</span>
      <span aria-hidden="true">{`${now} / ${all}`}</span>
      {step(at + 1, words.later, <RightIcon size={16} />)}
    </span>
  );
}
