import { tokensPerSecond } from "../conversation/speed";
import type { Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { count, decimal } from "../i18n/format";

/** Tokens and times of a reply, as the server counted and measured them. */
export function Measured({ reply }: { reply: Message }) {
  const text = useText();
  const language = useLanguage();
  const parts: string[] = [];
  const speed = tokensPerSecond(reply);
  const { usage, first_after: first } = reply;
  if (usage) parts.push(text.measured.tokens(count(language, usage.completion)));
  if (speed !== null)
    parts.push(text.measured.speed(decimal(language, speed, speed < 100 ? 1 : 0)));
  if (first !== null) parts.push(text.measured.first(decimal(language, first)));
  if (usage) {
    const cached = text.measured.cached(count(language, usage.cached));
    const prompt = text.measured.prompt(count(language, usage.prompt));
    parts.push(usage.cached > 0 ? `${prompt} (${cached})` : prompt);
  }
  if (parts.length === 0) return null;
  return (
    <span className="measured" title={text.measured.label}>
      {parts.join(" · ")}
    </span>
  );
}
