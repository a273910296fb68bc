import { memo, useEffect, useId, useRef, type KeyboardEvent, type MouseEvent } from "react";

import type { Token } from "../api/inside";
import { useLanguage, useText } from "../i18n";
import { decimal } from "../i18n/format";
import { inline, level, moved, visible } from "./pieces";

interface Props {
  tokens: readonly Token[];
  position: number;
  onPosition: (position: number) => void;
  label: string;
}

/** The tokens of a reply as one text, each of which can be chosen. */
export function TokenFlow({ tokens, position, onPosition, label }: Props) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const choose = (at: number) => onPosition(at);
  useEffect(() => {
    box.current?.children[position]?.scrollIntoView({ block: "nearest" });
  }, [position]);
  const onKey = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const line = (down: boolean) => nearest(box.current, position, down);
    const to = moved(event.key, position, tokens.length, line);
    if (to === null) return;
    event.preventDefault();
    choose(to);
  };
  const onClick = (event: MouseEvent) => {
    const token = (event.target as Element).closest<HTMLElement>("[role=option]");
    if (token) choose(Number(token.dataset["at"]));
  };
  return (
    <div
      ref={box}
      className="token-flow"
      role="listbox"
      aria-label={label}
      aria-activedescendant={`${id}-${position}`}
      tabIndex={0}
      translate="no"
      onKeyDown={onKey}
      onClick={onClick}
    >
      {tokens.map((token, at) => (
        <One key={at} id={`${id}-${at}`} {...{ token, at }} chosen={at === position} />
      ))}
    </div>
  );
}

interface OneProps {
  id: string;
  token: Token;
  at: number;
  chosen: boolean;
}

const One = memo(function One({ id, token, at, chosen }: OneProps) {
  const text = useText();
  const words = text.inside;
  const language = useLanguage();
  const bits = words.bits(decimal(language, token.entropy));
  const name = useName(token);
  // The character that the bytes end is seen here, so it is in the name.
  const seen = token.kind === "bytes" ? `${visible(token.shown)} ` : "";
  return (
    <span
      id={id}
      className={`token sure-${level(token.entropy)} ${token.kind}`}
      role="option"
      aria-selected={chosen}
      aria-label={`${seen}${name}, ${bits}`.trim()}
      title={`${name} · ${bits}`}
      data-at={at}
    >
      {token.kind === "control" ? inline(token.piece) : visible(token.shown) || "·"}
    </span>
  );
});

/** A token as it is called in a list. */
export function useName(token: Pick<Token, "piece" | "kind">): string {
  const text = useText();
  const words = text.inside;
  return token.kind === "bytes" ? words.part(token.piece) : inline(token.piece);
}

/** The token on the next or previous line that lies nearest below or above another. */
function nearest(box: HTMLElement | null, position: number, down: boolean): number {
  const all = [...(box?.children ?? [])].map((each) => each.getClientRects()[0]);
  const own = all[position];
  if (!own) return position;
  const step = down ? 1 : -1;
  let best = position;
  let top: number | null = null;
  let distance = Infinity;
  for (let at = position + step; at >= 0 && at < all.length; at += step) {
    const rect = all[at];
    if (!rect || Math.abs(rect.top - own.top) < own.height / 2) continue;
    top ??= rect.top;
    if (Math.abs(rect.top - top) > own.height / 2) break;
    const away = Math.abs(rect.left - own.left);
    if (away < distance) [best, distance] = [at, away];
  }
  return best;
}
